"""CTR models through the command line, on the sample shop with vectors around one direction per category."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from openmoon.cli import main
from openmoon.learnt import NO_BEHAVIOUR
from openmoon.serving.vectors import QUERY, VectorWriter
from openmoon.training.checkpoint import save_checkpoint
from tests.e2e.conftest import Cli

MODELS = ["din", "cube"]


def write_vectors(path: Path, products: pl.DataFrame, until: datetime | None = NO_BEHAVIOUR) -> Path:
    random = np.random.default_rng(0)
    kinds, kind = np.unique(products["category"].fill_null("").to_numpy(), return_inverse=True)
    vectors = 2 * random.normal(size=(len(kinds), 16))[kind] + random.normal(size=(len(products), 16))
    writer = VectorWriter(path, 16, "numbers", learnt_until=until)
    made = products.select("product_id", content_hash="product_id")
    writer.write(made, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    writer.finish(made)
    return path


def write_query_vectors(path: Path, events: pl.DataFrame, until: datetime = NO_BEHAVIOUR) -> None:
    made = events.select(QUERY).unique(maintain_order=True).filter(pl.any_horizontal(pl.all().is_not_null())).head(40)
    made = made.with_columns(content_hash=pl.lit("h"))
    writer = VectorWriter(path, 16, "numbers", QUERY, until)
    writer.write(made, np.eye(16)[np.arange(len(made)) % 16])
    writer.finish(made)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, shop: Path) -> Path:
    """A recipe over the shop with the vectors that it needs."""
    folder = tmp_path_factory.mktemp("ctr")
    write_vectors(folder / "run" / "vectors.parquet", pl.read_parquet(shop / "catalog.parquet"))
    write_query_vectors(folder / "run" / "query_vectors.parquet", pl.read_parquet(shop / "events.parquet"))
    path = folder / "ctr.yaml"
    path.write_text(yaml.safe_dump({
        "name": "ctr", "workdir": str(folder / "run"), "data": {"root": str(shop), "events": "events.parquet"},
        "ctr": {"models": MODELS, "seeds": [0, 1], "truth": "truth/events.parquet", "dim": 8, "hidden": [32, 16],
                "attention": 16, "length": 20, "lr": 0.01, "batch_size": 256},
    }))  # fmt: skip
    return path


@pytest.fixture(scope="module")
def trained(bench: Path, cli: Cli) -> str:
    """What `openmoon ctr train` says."""
    return cli("ctr", "train", bench).stderr


Refused = Callable[..., str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """The last line of what a failing command says; it runs in this process, which has all the imports."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["openmoon", "ctr", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert line.startswith("error: ")
        return line

    return run


def result(run: Path) -> dict[str, Any]:
    return json.loads((run / "ctr" / "evaluation.json").read_text())


def test_training_says_what_it_learns_from(bench: Path, trained: str, shop: Path) -> None:
    events = pl.read_parquet(shop / "events.parquet")
    assert f"impressions: {events.filter(action='impression').height:,}" in trained
    assert "vectors: of 100.0% of the products and 100.0% of the impressions" in trained
    assert "only" not in trained
    for name in MODELS:
        for seed in (0, 1):
            folder = bench.parent / "run" / "ctr" / f"{name}-seed{seed}"
            assert f"wrote {folder}" in trained
            assert json.loads((folder / "summary.json").read_text())["steps"] > 10


def test_what_is_trained_is_left_alone(bench: Path, trained: str, cli: Cli) -> None:
    folder = bench.parent / "run" / "ctr"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    said = cli("ctr", "train", bench, "ctr.models=[din, cube, dnn]", "ctr.seeds=[0]").stderr
    assert said.count("finished before:") == 2
    assert said.count("wrote ") == 1
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_evaluation_measures_all_systems_on_the_same_impressions(
    bench: Path, trained: str, shop: Path, cli: Cli
) -> None:
    done = cli("ctr", "evaluate", bench)
    found = result(bench.parent / "run")
    assert list(found["systems"]) == ["popularity only", "position only", *MODELS]
    assert found["reference"] == "din"
    assert found["coverage"] == 1
    rows = found["counts"]["in test"]
    clicks = {part["chosen"] for s in found["systems"].values() for part in s["slices"]["exposure"].values()}
    assert len(clicks) == 2
    for name, system in found["systems"].items():
        assert list(system["seeds"]) == (["0", "1"] if name in MODELS else ["0"])
        assert f"| {name} | {len(system['seeds'])} |" in done.stdout
        for kind in ("query", "behaviours", "impressions", "exposure"):
            assert sum(part["rows"] for part in system["slices"][kind].values()) == rows
        assert sum(system["calibration"]["rows"]) == rows
        for figures in system["seeds"].values():
            assert all(value is not None for value in figures.values())
    cube = found["systems"]["cube"]
    assert cube["gain"]["low"] <= cube["gain"]["gauc"] <= cube["gain"]["high"]
    assert found["systems"]["din"]["gain"] is None
    assert cube["leakage"]["v"] == cube["leakage"]["v_adjusted"]
    assert np.mean([one["auc"] for one in cube["seeds"].values()]) > 0.6
    uniform = pl.read_parquet(shop / "truth" / "events.parquet")["uniform"]
    scored = pl.read_parquet(bench.parent / "run" / "ctr" / "din-seed0" / "scores.parquet")
    assert len(scored) == rows
    assert cube["slices"]["exposure"]["uniform"]["rows"] == uniform.gather(scored["row"]).sum()


def test_models_that_are_not_trained_yet_are_named(bench: Path, trained: str, refused: Refused) -> None:
    said = refused("evaluate", bench, "ctr.models=[din, sata]")
    assert said.endswith("sata-seed0/scores.parquet: no predictions; `openmoon ctr train` makes them.")


def test_predictions_for_other_impressions_are_refused(bench: Path, trained: str, refused: Refused) -> None:
    said = refused("evaluate", bench, "ctr.split.test=0.3")
    assert "predicts other impressions than this recipe's test part" in said


def test_a_checkpoint_of_other_settings_is_refused_until_a_fresh_start(
    bench: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["ctr.models=[dnn]", "ctr.seeds=[0]", f"workdir={tmp_path}"]
    save_checkpoint(tmp_path / "ctr" / "dnn-seed0" / "checkpoint.pt", "another run", {})
    said = refused("train", bench, *options)
    assert "was written with another recipe or other data" in said
    assert "start over with --fresh" in said
    monkeypatch.setattr(sys, "argv", ["openmoon", "ctr", "train", str(bench), *options, "--fresh"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    assert (tmp_path / "ctr" / "dnn-seed0" / "summary.json").exists()


def test_an_encoder_that_has_learnt_from_what_is_measured_is_refused(
    bench: Path, shop: Path, tmp_path: Path, cli: Cli, refused: Refused
) -> None:
    events, catalog = pl.read_parquet(shop / "events.parquet"), pl.read_parquet(shop / "catalog.parquet")
    last = events["timestamp"].max()
    assert isinstance(last, datetime)
    options = ["ctr.models=[cube]", "ctr.seeds=[0]", f"workdir={tmp_path / 'run'}"]
    options += [
        f"ctr.split={{val: {(last - timedelta(days=10)).isoformat()}, test: {(last - timedelta(days=5)).isoformat()}}}"
    ]
    begins = events.filter(pl.col("action") == "impression", pl.col("timestamp") >= last - timedelta(days=10))[
        "timestamp"
    ].min()
    assert isinstance(begins, datetime)
    seen = write_vectors(tmp_path / "seen.parquet", catalog, begins)
    said = refused("train", bench, *options, f"ctr.vectors={seen}")
    assert f"has learnt from events up to {begins}" in said
    assert f"train it with data.until={begins.isoformat()} or before" in said
    unseen = write_vectors(tmp_path / "unseen.parquet", catalog.head(60), begins - timedelta(seconds=1))
    asked = tmp_path / "asked.parquet"
    write_query_vectors(asked, events, begins)
    assert f"{asked}: its encoder has learnt from events up to {begins}" in refused(
        "train", bench, *options, f"ctr.vectors={unseen}", f"ctr.query_vectors={asked}"
    )
    said = cli("ctr", "train", bench, *options, f"ctr.vectors={unseen}").stderr
    shown = events.filter(action="impression")["product_id"].is_in(catalog["product_id"].head(60).implode()).mean()
    assert "does not say how late" not in said
    assert f"only {shown:.1%} of the impressions are of products with a vector" in said
    assert "no vectors of queries" in said


def test_vectors_that_do_not_fit_are_refused(bench: Path, shop: Path, tmp_path: Path, refused: Refused) -> None:
    options = ["ctr.models=[cube]", "ctr.seeds=[0]", f"workdir={tmp_path}"]
    assert "no such vectors table" in refused("train", bench, *options)
    narrow = tmp_path / "narrow.parquet"
    pl.read_parquet(bench.parent / "run" / "query_vectors.parquet").with_columns(
        pl.col("vector").arr.to_list().list.head(8).list.to_array(8)).write_parquet(narrow)  # fmt: skip
    vectors = bench.parent / "run" / "vectors.parquet"
    said = refused("train", bench, *options, f"ctr.vectors={vectors}", f"ctr.query_vectors={narrow}")
    assert f"{narrow}: vectors of 8 dimensions, the products' have 16" in said
    catalog = pl.read_parquet(shop / "catalog.parquet")
    other = write_vectors(tmp_path / "other.parquet", catalog.with_columns(product_id="X" + pl.col("product_id")))
    said = refused("train", bench, *options, f"ctr.vectors={other}")
    first = catalog["product_id"][0]
    assert f"has a vector (zeros are none) of none of the products; its first product_id is 'X{first}'" in said


def test_recipes_and_logs_with_nothing_to_predict_are_refused(
    bench: Path, own_shop: Path, tmp_path: Path, refused: Refused
) -> None:
    bare = yaml.safe_load(bench.read_text())
    del bare["ctr"]
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump(bare))
    assert "bare.yaml" not in (said := refused("train", tmp_path / "bare.yaml"))
    assert said == "error: ctr: the recipe has no section ctr, so nothing says what to predict; add `ctr: {}`."
    assert "names no events table" in refused("train", bench, "data.events=null")
    events = pl.read_parquet(own_shop / "events.parquet")
    events.filter(pl.col("action") != "impression").write_parquet(own_shop / "events.parquet")
    said = refused("evaluate", bench, f"data.root={own_shop}")
    assert "no usable event has the action 'impression', so there is nothing to predict" in said
    shown = events.filter(action="impression")["timestamp"].sort()
    late = (pl.col("action") == "impression") | (pl.col("timestamp") > shown[int(0.9 * len(shown))])
    events.filter(late).write_parquet(own_shop / "events.parquet")
    said = refused("train", bench, f"data.root={own_shop}", f"workdir={tmp_path}", "ctr.models=[din]")
    assert "training impressions none has a click, so there is nothing to tell apart" in said


def test_a_truth_of_other_events_is_refused(bench: Path, trained: str, own_shop: Path, refused: Refused) -> None:
    truth = pl.read_parquet(own_shop / "truth" / "events.parquet")
    (own_shop / "truth").unlink()
    (own_shop / "truth").mkdir()
    truth.head(100).write_parquet(own_shop / "truth" / "events.parquet")
    said = refused("evaluate", bench, f"data.root={own_shop}")
    assert "events.parquet has 100 rows, but the events have more" in said
    for changed, message in ((truth.reverse(), "its column row does not count from 0"),
                             (truth.with_columns(pl.col("uniform").cast(pl.Int8)), "uniform is Int8 with 0 nulls")):  # fmt: skip
        changed.write_parquet(own_shop / "truth" / "events.parquet")
        assert message in refused("evaluate", bench, f"data.root={own_shop}")


def test_a_test_part_without_clicks_has_undefined_metrics(
    bench: Path, own_shop: Path, tmp_path: Path, cli: Cli
) -> None:
    events = pl.read_parquet(own_shop / "events.parquet")
    times = events.filter(action="impression")["timestamp"]
    border = times.sort()[int(0.8 * len(times))]
    quiet = events.filter((pl.col("action") == "impression") | (pl.col("timestamp") < border))
    quiet.write_parquet(own_shop / "events.parquet")
    run = tmp_path / "run"
    run.mkdir()
    for name in ("vectors.parquet", "query_vectors.parquet"):
        shutil.copy(bench.parent / "run" / name, run)
    options = [
        f"data.root={own_shop}",
        f"workdir={run}",
        "ctr.truth=null",
        "ctr.seeds=[0]",
        f"ctr.split.test={border.isoformat()}",
    ]
    cli("ctr", "train", bench, *options)
    done = cli("ctr", "evaluate", bench, *options)
    for name in MODELS:
        row = next(line for line in done.stdout.splitlines() if line.startswith(f"| {name} "))
        assert row.split(" | ")[2:4] == ["undefined", "undefined"]
        figures = result(run)["systems"][name]["seeds"]["0"]
        assert (figures["auc"], figures["gauc"], figures["pcoc"]) == (None, None, None)
        assert figures["log_loss"] > 0
        assert result(run)["systems"][name]["gain"] is None


def test_models_of_other_settings_are_not_measured(bench: Path, trained: str, refused: Refused) -> None:
    said = refused("evaluate", bench, "ctr.lr=0.5")
    assert "was trained with other settings, data or vectors than this recipe's" in said


def test_a_folder_with_brackets_is_no_pattern(bench: Path, trained: str, own_shop: Path, cli: Cli) -> None:
    odd, near = own_shop.parent / "run[1][/a]", own_shop.parent / "run1"
    options = ["ctr.models=[din]", "ctr.seeds=[0]"]
    for folder, more in ((near, ["ctr.lr=0.0001"]), (odd, [])):
        assert f"wrote {folder}" in cli("ctr", "train", bench, *options, f"workdir={folder}", *more).stderr
    cli("ctr", "evaluate", bench, *options, f"workdir={odd}")
    ours = bench.parent / "run" / "ctr" / "din-seed0" / "scores.parquet"
    assert (odd / "ctr" / "din-seed0" / "scores.parquet").read_bytes() == ours.read_bytes()
    assert result(odd)["systems"]["din"]["seeds"]["0"]["auc"] > 0.5
    assert str(odd) in cli("ctr", "report", bench, *options, f"workdir={odd}").stdout.replace("\n", "")


def test_what_a_failed_training_leaves_is_not_measured(bench: Path, tmp_path: Path, cli: Cli, refused: Refused) -> None:
    options = ["ctr.models=[din]", "ctr.seeds=[0]", f"workdir={tmp_path}"]
    cli("ctr", "train", bench, *options)
    weights = tmp_path / "ctr" / "din-seed0" / "model.safetensors"
    weights.unlink()
    (weights / "full").mkdir(parents=True)  # stands for a disk that is full
    assert "error" in refused("train", bench, *options, "ctr.lr=0.0001")
    assert "no predictions" in refused("evaluate", bench, *options)
    shutil.rmtree(weights)
    assert "wrote" in cli("ctr", "train", bench, *options, "--fresh").stderr
    assert weights.is_file()
