"""A shop is its tables joined; what does not join is rejected, and a shop without products is an error."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from openmoon.config import DataConfig
from openmoon.data.shop import load_catalog, load_shop
from openmoon.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    catalog = {"product_id": [1, 2, 3], "title": ["a", None, ""], "image": ["images/1.jpg", "/pics/2.jpg", None]}
    pl.DataFrame(catalog).write_parquet(tmp_path / "catalog.parquet")
    (tmp_path / "logs" / "events.csv").write_text(
        "user_id,timestamp,action,product_id,query_image\n"
        "u,2024-01-01,click,1,q.jpg\nu,2024-01-02,click,1,/abs/q.jpg\nu,2024-01-03,click,3,\nu,2024-01-04,click,9,\n"
    )
    (tmp_path / "queries.csv").write_text("query_text,product_id\nboots,1\n,1\nhat,4\n")
    (tmp_path / "creatives.csv").write_text(
        "creative_id,product_id,image,impressions,clicks\nc1,1,i.jpg,10,1\nc2,7,i.jpg,10,1\n"
    )
    return tmp_path


def config(folder: Path, **options: object) -> DataConfig:
    return DataConfig.model_validate(
        {"root": folder, "events": "logs/events.csv", "queries": "queries.csv", "creatives": "creatives.csv"} | options
    )


def test_tables_join_and_nothing_is_lost(folder: Path) -> None:
    shop = load_shop(config(folder))
    assert shop.catalog["product_id"].to_list() == ["1", "2"]
    assert shop.events is not None
    assert shop.queries is not None
    assert shop.creatives is not None
    assert (shop.events.height, shop.queries.height, shop.creatives.height) == (2, 1, 1)
    assert shop.rejected.group_by("table").len().sort("table").rows() == [
        ("catalog", 1), ("creatives", 1), ("events", 2), ("queries", 2),
    ]  # fmt: skip
    assert "product_id is not in the catalog: '3'" in shop.rejected["reason"].to_list()


def test_pictures_are_relative_to_the_catalogue(folder: Path) -> None:
    shop = load_shop(config(folder))
    assert shop.events is not None
    assert [shop.image_path(image) for image in shop.catalog["image"]] == [folder / "images/1.jpg", Path("/pics/2.jpg")]
    assert [shop.image_path(image) for image in shop.events["query_image"]] == [
        folder / "q.jpg", Path("/abs/q.jpg"),
    ]  # fmt: skip


def test_the_catalogue_alone_needs_no_other_table(folder: Path) -> None:
    (folder / "logs" / "events.csv").write_bytes(b"\xff no table")
    shop = load_catalog(config(folder, queries="none.csv"))
    assert shop.catalog["product_id"].to_list() == ["1", "2"]
    assert shop.events is shop.creatives is shop.queries is None
    assert shop.rejected["table"].to_list() == ["catalog"]
    assert shop.image_path("images/1.jpg") == folder / "images/1.jpg"


def test_picture_names_are_those_of_all_tables(folder: Path) -> None:
    assert load_shop(config(folder)).picture_names() == ["images/1.jpg", "/pics/2.jpg", "q.jpg", "/abs/q.jpg", "i.jpg"]


def test_no_usable_product_is_an_error(folder: Path) -> None:
    (folder / "empty.csv").write_text("product_id,title\n1,\n2,\n,x\n")
    with pytest.raises(UserError, match=r"empty.csv: no usable product.*all 3 rows.*none of title, description, image"):
        load_shop(config(folder, catalog="empty.csv"))


def test_a_missing_table_is_an_error(folder: Path) -> None:
    with pytest.raises(UserError, match=r"none.parquet: no such file; set data.root and data.events"):
        load_shop(config(folder, events="none.parquet"))


@pytest.mark.parametrize(
    ("events", "asked"),
    [
        ("logs/events.csv", True),
        ("shown.csv", False),
        (None, False),
    ],
)
def test_whether_choices_say_what_was_searched_for(folder: Path, events: str | None, asked: bool) -> None:
    """A query that was only shown something is no choice, and a choice without a query is no answer."""
    (folder / "shown.csv").write_text(
        "user_id,timestamp,action,product_id,query_text\nu,2024-01-01,impression,1,boots\nu,2024-01-02,click,1,\n"
    )
    assert load_shop(config(folder, events=events)).logs_queries is asked
