"""Stage 2 up to a moment, through the command line: what it leaves behind says that it has seen nothing later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.serving.vectors import learnt_until
from tests.e2e.conftest import Cli


def test_an_encoder_and_its_vectors_know_nothing_later(
    recipe: Path, finished: object, shop: Path, tmp_path: Path, cli: Cli
) -> None:
    run = recipe.parent / "run"
    for stage, nothing in (("pretrain", True), ("posttrain", False)):
        facts = json.loads((run / stage / "encoder" / "config.json").read_text())
        assert (facts["learnt_until"] is None) == nothing
    events = pl.read_parquet(shop / "events.parquet")
    until = events["timestamp"].median()
    shutil.copytree(run / "pretrain", tmp_path / "pretrain")  # which knows no behaviour, so that no moment is wrong for it
    options = [f"workdir={tmp_path}", f"data.cache={run / 'cache'}", f"data.until={until.isoformat()}"]  # type: ignore[union-attr]
    done = cli("posttrain", recipe, *options)
    later = events.filter(pl.col("timestamp") >= until).height
    assert f"data.until: {later:,} of {events.height:,} events, from {until} on, are left out" in done.stderr
    learnt = pl.Series([json.loads((tmp_path / "posttrain" / "encoder" / "config.json").read_text())["learnt_until"]])
    moment = learnt.str.to_datetime(time_unit="us").item()
    assert moment < until
    assert events.filter(pl.col("timestamp") == moment, pl.col("action") != "impression").height > 0
    cli("evaluate", recipe, *options)
    done = cli("embed", recipe, *options, "embed.queries=true")
    assert " queries embedded, 0 unchanged, 0 gone" in done.stderr
    for name in ("vectors.parquet", "query_vectors.parquet"):
        assert learnt_until(tmp_path / name) == moment
    keys = ["query_text", "query_image"]
    asked = events.select(keys).unique().filter(pl.any_horizontal(pl.all().is_not_null()))
    table = pl.read_parquet(tmp_path / "query_vectors.parquet")
    unusable = pl.read_parquet(tmp_path / "embed_rejected.parquet").select(keys)
    assert len(table) == len(table.unique(keys))
    missing = asked.join(table, on=keys, how="anti", nulls_equal=True)
    assert missing.join(unusable, on=keys, how="anti", nulls_equal=True).is_empty()
    assert table.join(asked, on=keys, how="anti", nulls_equal=True).is_empty()
    np.testing.assert_allclose(np.linalg.norm(np.stack(table["vector"].to_numpy()), axis=1), 1, atol=1e-5)
