"""The check finds planted faults, counts them once, and leaves a row for everything that cannot be used."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from rich.console import Console

from openmoon.config import DataConfig, SplitConfig
from openmoon.data.check import CheckReport, check_shop
from openmoon.data.image_cache import ImageCache
from openmoon.data.shop import unread_columns
from openmoon.data.splits import split_products
from openmoon.errors import UserError


def save(path: Path, seed: int, quality: int = 95) -> None:
    noise = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC).save(path, quality=quality)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 products; p0 and one of another split share a picture; p1 and p2 have unreadable ones."""
    products = pl.DataFrame({"product_id": [f"p{i}" for i in range(40)]})
    sides = split_products(products.with_columns(spu_id="product_id"), SplitConfig())
    twin = int(sides.filter(pl.col("split") != sides["split"][0], ~pl.col("product_id").is_in(["p1", "p2"]))[0, 0][1:])
    for i in range(40):
        save(tmp_path / f"{i}.jpg", seed=i)
    save(tmp_path / f"{twin}.jpg", seed=0, quality=60)
    (tmp_path / "1.jpg").write_bytes(b"")
    (tmp_path / "2.jpg").unlink()
    save(tmp_path / "query.jpg", seed=99)
    products.with_columns(
        title=pl.when(pl.col("product_id") != "p1").then(pl.lit("a thing")),
        image=pl.col("product_id").str.slice(1) + ".jpg",
        price=pl.when(pl.col("product_id") == "p9").then(pl.lit("cheap")).otherwise(pl.lit("1.5")),
        created_at=pl.lit("2024-01-02"),
    ).write_parquet(tmp_path / "catalog.parquet")
    (tmp_path / "events.csv").write_text(
        "user_id,timestamp,action,product_id,query_text,query_image,creative_id\n"
        "u,2024-01-05,click,p3,thing,,\n"
        "u,2024-01-04,click,p4,thing,query.jpg,c1\n"  # out of order, unknown creative
        "v,2024-01-01,click,p5,thing,,\n"  # before its product
        "v,2024-01-06,view,p5,thing,,\n"
        "v,2024-01-06,click,p77,thing,,\n"
        "v,2024-01-06,click,p78,thing,,\n"
    )
    (tmp_path / "creatives.csv").write_text("creative_id,product_id,image,impressions,clicks\nc2,p3,query.jpg,3,1\n")
    return tmp_path


@pytest.fixture
def report(folder: Path) -> CheckReport:
    split = SplitConfig(together="spu")  # so that the twins may come apart
    config = DataConfig(root=folder, events=Path("events.csv"), creatives=Path("creatives.csv"), split=split)
    return check_shop(config, ImageCache(folder / "cache", 64), folder / "out")


def test_rows_of_a_catalogue_without_a_product_are_written_down(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("product_id,title,price\n1,a,\"74,15\"\n2,b,\"8,50\"\n")
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"all 2 rows were rejected, most often: price is not a number.*out/rejected.parquet has"):
        check_shop(DataConfig(root=tmp_path, catalog=Path("c.csv")), ImageCache(tmp_path, 32), out)
    assert pl.read_parquet(out / "rejected.parquet")["reason"].to_list() == [
        "price is not a number: '74,15'", "price is not a number: '8,50'"]  # fmt: skip


def test_tables_and_reasons_are_counted(report: CheckReport) -> None:
    assert {name: (table.rows, table.rejected) for name, table in report.tables.items()} == {
        "catalog": (39, 1), "events": (3, 3), "creatives": (1, 0),
    }  # fmt: skip
    assert report.rejected == {
        "catalog: price is not a number": 1,
        "events: product_id is not in the catalog": 2,
        "events: action is none of impression, click, cart, purchase": 1,
    }
    assert report.tables["events"].empty["query_image"] == 2


def test_pictures_duplicates_and_leakage(report: CheckReport) -> None:
    assert report.pictures == 40  # p9 is rejected, the query photo is there
    missing = "cannot be read: No such file or directory"
    assert report.unreadable == {"empty file (0 bytes)": 1, missing: 1}
    assert Path(report.unreadable_such_as[missing]).name == "2.jpg"
    assert report.warnings["groups of products of different SPUs with one picture"] == 1
    assert report.warnings["groups of products in different splits with one picture (leakage)"] == 1
    (twins,) = report.examples["groups of products in different splits with one picture (leakage)"]
    assert "p0" in twins
    assert len(twins) == 2


def test_odd_rows_are_warned_about(report: CheckReport) -> None:
    odd = {what: count for what, count in report.warnings.items() if not what.startswith("groups")}
    assert odd == {
        "products without text whose picture cannot be read": 1,
        "events before the previous event of their user (times out of order)": 1,
        "events before their product was created": 1,
        "products without any event": 36,
        "events whose creative_id is not in creatives": 1,
    }


def test_everything_unusable_is_in_rejected_parquet(folder: Path, report: CheckReport) -> None:
    rejected = pl.read_parquet(folder / "out" / "rejected.parquet")
    assert rejected.height == sum(report.rejected.values()) + sum(report.unreadable.values())
    pictures = rejected.filter(table="images").sort("product_id")
    assert pictures["product_id"].to_list() == ["p1", "p2"]
    assert pictures["record"].to_list() == [str(folder / "1.jpg"), str(folder / "2.jpg")]
    assert not report.errors
    saved = json.loads((folder / "out" / "check.json").read_text())
    assert saved["warnings"] == report.warnings


def test_a_shared_unreadable_picture_is_reported_for_every_product_and_creative(folder: Path) -> None:
    catalog = pl.read_parquet(folder / "catalog.parquet")
    shared = pl.when(pl.col("product_id").is_in(["p1", "p4"])).then(pl.lit("1.jpg")).otherwise("image")
    catalog.with_columns(image=shared).write_parquet(folder / "catalog.parquet")
    (folder / "creatives.csv").write_text("creative_id,product_id,image,impressions,clicks\nc2,p3,1.jpg,3,1\n")
    config = DataConfig(root=folder, creatives=Path("creatives.csv"))
    report = check_shop(config, ImageCache(folder / "cache", 32), folder / "out")
    rejected = pl.read_parquet(folder / "out" / "rejected.parquet").filter(record=str(folder / "1.jpg"))
    assert sorted(rejected["product_id"]) == ["p1", "p3", "p4"]
    assert report.unreadable == {"empty file (0 bytes)": 1, "cannot be read: No such file or directory": 1}


def test_times_that_no_log_has_are_pointed_out(folder: Path) -> None:
    """A clock that starts in 1970, a number for "unknown", a year in which nobody has clicked yet."""
    pl.DataFrame({
        "user_id": ["u"] * 4, "product_id": ["p3"] * 4, "action": ["click"] * 4,
        "timestamp": [-1, 0, 1_700_000_000, 32_000_000_000],
    }).write_csv(folder / "odd.csv")  # fmt: skip
    report = check_shop(DataConfig(root=folder, events=Path("odd.csv")), ImageCache(folder / "cache", 32), folder / "out")
    assert report.warnings["events before 1990 or after today (a number for an unknown time?)"] == 3


def test_it_prints_itself(report: CheckReport) -> None:
    console = Console(width=100, record=True, file=StringIO())
    console.print(report)
    text = console.export_text()
    for line in ("catalog", "40 pictures, 2 unreadable", "price is not a number", "(leakage)"):
        assert line in text


def test_text_only_shop_too_small_to_split(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("product_id,title\n1,a\n2,b\n")
    report = check_shop(DataConfig(root=tmp_path, catalog=Path("c.csv")), ImageCache(tmp_path, 32), tmp_path / "out")
    assert report.pictures == 0
    (error,) = report.errors
    assert "split empty" in error


def test_columns_that_nothing_reads_are_named(folder: Path) -> None:
    table = pl.read_parquet(folder / "catalog.parquet").with_columns(colour=pl.lit("red"), articleType=pl.lit("boot"))
    table.write_parquet(folder / "catalog.parquet")
    (folder / "log.csv").write_text("sep=;\n\nuser_id;timestamp;action;product_id;page\nu;2024-01-05;click;p3;7\n")
    config = DataConfig(root=folder, events=Path("log.csv"))
    report = check_shop(config, ImageCache(folder / "cache", 64), folder / "out")
    assert report.unread == {"catalog": ["colour", "articleType"], "events": ["page"]}
    console = Console(width=200, record=True, file=StringIO())
    console.print(report)
    assert "catalog: colour, articleType not read: if they are needed, name them in data.columns.catalog" in console.export_text()
    columns = {"catalog": {"category": "articleType"}, "events": {"session_id": "page"}}
    assert unread_columns(config.model_copy(update={"columns": columns, "attributes": ["colour"]})) == {}
    (folder / "parts").mkdir()
    table.write_parquet(folder / "parts" / "1.parquet")
    assert unread_columns(DataConfig(root=folder, catalog=Path("parts"))) == {"catalog": ["colour", "articleType"]}
