"""Which products are augmented."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from openmoon.builders.workspace import open_workspace
from openmoon.config import EncoderConfig, Recipe
from openmoon.steps.augment import augment


@pytest.mark.parametrize("by", ["product", "given"])
def test_all_products_that_pairs_may_hold_are_augmented(tmp_path: Path, tiny_config: EncoderConfig, by: str) -> None:
    names = [f"p{number}" for number in range(12)]
    pl.DataFrame({"product_id": names, "title": "boot", "colour": "red"}).write_parquet(tmp_path / "catalog.parquet")
    pl.DataFrame({
        "user_id": "u", "timestamp": "2024-01-01", "action": "click", "product_id": names, "query_text": names,
        "split": ["train"] * 8 + ["val", "val", "test", "test"],
    }).write_parquet(tmp_path / "events.parquet")  # fmt: skip
    recipe = Recipe.model_validate({
        "name": "tiny", "workdir": tmp_path / "run", "encoder": tiny_config.model_dump(), "pretrain": None,
        "data": {"root": tmp_path, "events": "events.parquet", "attributes": ["colour"], "split": {"by": by, "val": 0.25}},
        "augment": {"texts": {"templates": 1}, "pictures": {"per_product": 0}, "nearer": 0, "slack": 1},
    })  # fmt: skip
    augment(recipe)
    made = pl.read_parquet(tmp_path / "run" / "augmented" / "augmented.parquet").filter("kept")
    work = open_workspace(recipe)
    assert set(made["product_id"]) == set(work.items["product_id"][work.learnt_rows])
    assert made["product_id"].n_unique() == {"product": 7, "given": 12}[by]
