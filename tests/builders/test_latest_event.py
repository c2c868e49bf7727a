"""The moment that an encoder carries is that of the last event that taught it, not of the last in the log."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from openmoon.builders.pairs import latest_event, training_pairs
from openmoon.builders.workspace import open_workspace
from openmoon.config import Recipe

START = datetime(2025, 1, 1)
SPLITS = ("train", "val", "test")


def day(number: int) -> datetime:
    return START + timedelta(days=number)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty products with a click each on the first day, by queries of their own."""
    names = [f"p{number}" for number in range(40)]
    pl.DataFrame({"product_id": names, "title": [f"boot {name}" for name in names]}).write_parquet(tmp_path / "catalog.parquet")
    pl.DataFrame({
        "user_id": "u", "timestamp": START, "action": "click", "product_id": names, "query_text": [f"query {n}" for n in names],
    }).write_parquet(tmp_path / "events.parquet")  # fmt: skip
    return tmp_path


def latest(folder: Path, later: dict[str, tuple[str, str | None, int]], **posttrain: object) -> datetime:
    """`latest_event` where later events come on top: split of a product → (action, query, day)."""
    recipe = Recipe.model_validate({
        "name": "tiny", "workdir": folder / "run", "posttrain": {"actions": ["click"], **posttrain},
        "data": {"root": folder, "events": "all.parquet", "split": {"val": 0.2, "test": 0.2}},
    })  # fmt: skip
    events = pl.read_parquet(folder / "events.parquet")
    events.write_parquet(folder / "all.parquet")
    splits = open_workspace(recipe).items
    rows = [("v", day(when), action, splits.filter(split=split)["product_id"][0], query)
            for split, (action, query, when) in later.items()]  # fmt: skip
    pl.concat([events, pl.DataFrame(rows, events.schema, orient="row")]).write_parquet(folder / "all.parquet")
    work = open_workspace(recipe)
    return latest_event(work, training_pairs(work, None))


def test_training_and_validation_teach_and_the_test_does_not(folder: Path) -> None:
    clicks = {split: ("click", f"new {split}", number) for number, split in enumerate(SPLITS, 1)}
    assert latest(folder, clicks) == day(2)
    assert latest(folder, {"train": ("click", "new", 5), "val": ("click", "other", 4)}) == day(5)


def test_pairs_that_a_rule_drops_teach_what_is_no_negative(folder: Path) -> None:
    assert latest(folder, {"train": ("click", "new", 5)}, pairs={"per_item": 1}) == day(5)


def test_what_was_shown_teaches_where_the_recipe_looks_at_it(folder: Path) -> None:
    shown: dict[str, tuple[str, str | None, int]] = {"train": ("impression", "new", 5), "test": ("impression", "x", 9)}
    assert latest(folder, shown) == day(0)
    assert latest(folder, shown, negatives={"pool": {}}) == day(5)
    assert latest(folder, shown, pairs={"match_categories": True}) == day(5)
    unasked: dict[str, tuple[str, str | None, int]] = {"train": ("impression", None, 5)}
    assert latest(folder, unasked, negatives={"pool": {}}) == day(0)


def test_clicks_in_a_row_teach_by_the_second(folder: Path) -> None:
    events = pl.read_parquet(folder / "events.parquet")
    events.with_columns(timestamp=pl.lit(START) + pl.int_range(pl.len()) * timedelta(minutes=1)).write_parquet(
        folder / "events.parquet"
    )
    found = latest(folder, {"train": ("cart", None, 5)}, pairs={"signal": "co-click"})
    assert START < found < day(1)
