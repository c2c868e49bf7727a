"""What `openmoon data check` finds is what the trainings would say."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from openmoon.config import Recipe
from openmoon.errors import UserError
from openmoon.steps.check import check
from openmoon.steps.posttrain import posttrain
from openmoon.steps.pretrain import pretrain
from openmoon.steps.run import run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twenty products, each with a picture of its own and a click by a query of its own."""
    names = [f"p{number}" for number in range(20)]
    for number, name in enumerate(names):
        Image.linear_gradient("L").rotate(9 * number).resize((32, 32)).save(tmp_path / f"{name}.png")
    pl.DataFrame({
        "product_id": names, "title": [f"boot {name}" for name in names], "image": [f"{name}.png" for name in names],
    }).write_parquet(tmp_path / "catalog.parquet")  # fmt: skip
    pl.DataFrame({
        "user_id": "u", "timestamp": "2024-01-01", "action": "click", "product_id": names,
        "query_text": [f"query {name}" for name in names],
    }).write_parquet(tmp_path / "events.parquet")  # fmt: skip
    return tmp_path


def recipe(root: Path, data: dict[str, object] | None = None, **sections: object) -> Recipe:
    split = {"val": 0.2, "test": 0.2}
    return Recipe.model_validate({
        "name": "tiny", "workdir": root / "run", "encoder": {"image": {"size": 32}},
        "data": {"root": root, "events": "events.parquet", "split": split} | (data or {}), **sections,
    })  # fmt: skip


def test_a_sound_shop_has_no_errors(root: Path) -> None:
    assert check(recipe(root)).errors == []


@pytest.mark.parametrize(("data", "sections"), [
    ({}, {"pretrain": None, "posttrain": {"actions": ["purchase"]}}),
    ({"split": {"by": "given"}}, {"pretrain": None}),
    ({"until": "2023-01-01"}, {"pretrain": None}),
    ({"events": None}, {"pretrain": None}),
    ({}, {"pretrain": None, "posttrain": {"mix": [{"query": "image", "item": "image", "share": 1}]}}),
    ({"columns": {"catalog": {"image": "title"}}}, {"posttrain": None}),
], ids=["actions", "labels", "until", "events", "kinds", "pictures"])  # fmt: skip
def test_an_error_is_what_the_stage_says(root: Path, data: dict[str, object], sections: dict[str, object]) -> None:
    settings = recipe(root, data, **sections)
    (error,) = check(settings).errors
    with pytest.raises(UserError) as refused:
        (posttrain if settings.posttrain else pretrain)(settings)
    assert str(refused.value) == error


def test_labels_that_label_nothing_are_an_error_before_anything_is_trained(root: Path) -> None:
    (root / "labels.csv").write_text("query_text,product_id\n")
    (error,) = check(recipe(root, {"queries": "labels.csv"})).errors
    assert error.startswith("data.queries: no usable row in it")


def test_each_stage_has_an_error_of_its_own(root: Path) -> None:
    catalog = pl.read_parquet(root / "catalog.parquet")
    catalog.with_columns(image=pl.lit("absent.png")).write_parquet(root / "catalog.parquet")
    settings = recipe(root, posttrain={"actions": ["cart"]})
    stage_1, stage_2 = check(settings).errors
    assert stage_1.startswith("pretrain: no product has both")
    assert stage_2.startswith("data.events: no event is one of cart")


def test_a_run_stops_before_it_trains(root: Path) -> None:
    with pytest.raises(UserError, match="no event is one of purchase"):
        run(recipe(root, posttrain={"actions": ["purchase"]}))
    assert not (root / "run" / "pretrain").exists()
