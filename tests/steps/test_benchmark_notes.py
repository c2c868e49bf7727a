"""What `openmoon benchmark` warns of an encoder that was trained here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import yaml

from openmoon.config import SplitConfig
from openmoon.evaluation.benchmark.suite import EXAMPLES, POOL, QUERIES, Suite
from openmoon.models.encoder import ProductEncoder
from openmoon.steps.benchmark import _seen_notes

SUITE = Suite(
    "own", pl.DataFrame({name: ["1"] for name in POOL}), pl.DataFrame(schema=dict.fromkeys(QUERIES, pl.String)),
    pl.DataFrame(schema=dict.fromkeys(EXAMPLES, pl.String)), pl.DataFrame(), split=SplitConfig(), compared_at=128,
)  # fmt: skip


@pytest.fixture
def source(tmp_path: Path, tiny_encoder: ProductEncoder) -> str:
    """An encoder of a recipe with pictures of 128 px."""
    pl.DataFrame({"product_id": ["1"], "title": ["1"]}).write_parquet(tmp_path / "catalog.parquet")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({
        "name": "own", "workdir": str(tmp_path), "data": {"root": str(tmp_path)}, "encoder": {"image": {"size": 128}},
    }))  # fmt: skip
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    return str(tmp_path / "encoder")


def test_one_split_of_pictures_of_one_size_is_no_warning(source: str) -> None:
    assert _seen_notes("ours", source, SUITE) == []


def test_look_alikes_that_were_found_at_another_size_are_pointed_out(source: str) -> None:
    (note,) = _seen_notes("ours", source, replace(SUITE, compared_at=160))
    assert note.startswith("ours: its look-alikes were found in pictures of 128 px, the suite's at 160")
    assert not _seen_notes("ours", source, replace(SUITE, compared_at=None))


def test_another_split_of_one_catalogue_is_pointed_out(source: str) -> None:
    (note,) = _seen_notes("ours", source, replace(SUITE, split=SplitConfig(seed=7)))
    assert note.startswith("ours: 1 of the 1 products measured are in its training catalogue, which was split otherwise")
