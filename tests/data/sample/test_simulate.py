"""The simulator on a catalogue that somebody else made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw

from openmoon.data.sample import simulate_on_catalog
from openmoon.data.sample.real_catalog import catalog_space, catalog_traits, write_catalog_texts
from openmoon.data.schema import REJECTED
from openmoon.errors import UserError

COLOURS = {"Red": (190, 40, 40), "Navy": (30, 40, 90), "Green": (40, 140, 70)}


@pytest.fixture
def catalog(tmp_path: Path) -> pl.DataFrame:
    """Twelve products, two of them without a usable picture."""
    rows = []
    for i in range(12):
        kind, colour = ("Shoes > Boots", "Hats > Caps")[i % 2], list(COLOURS)[i % 3]
        picture = Image.new("RGB", (80, 100), "white")
        ImageDraw.Draw(picture).ellipse((20, 20, 60, 60 + 2 * i), fill=COLOURS[colour])
        picture.save(tmp_path / f"{i}.jpg")
        attributes = json.dumps({"colour": colour, "serial": str(i)}) if i else None
        rows.append((f"a/{i}", f"Nike {colour} Model{i}", f"{i}.jpg", kind, attributes, f"spu{i // 2}"))
    (tmp_path / "11.jpg").write_bytes(b"")
    table = pl.DataFrame(rows, ["product_id", "title", "image", "category", "attributes", "spu_id"], orient="row")
    return table.with_columns(image=pl.when(pl.col("product_id") != "a/10").then("image"))


def test_writes_a_shop_of_real_products(catalog: pl.DataFrame, tmp_path: Path) -> None:
    out = tmp_path / "shop"
    summary = simulate_on_catalog(catalog, lambda name: tmp_path / name, out, users=30, seed=1, photos=24)
    assert summary.counts["products"] == 12
    assert summary.counts["unreadable_pictures"] >= 2  # the empty file, for each of its photos
    assert summary.counts["shopper_photos"] == 24 - summary.counts["unreadable_pictures"]
    assert summary.counts["clicks"] > 0
    written = pl.read_parquet(out / "catalog.parquet")
    assert all(Path(path).is_absolute() and Path(path).is_file() for path in written["image"].drop_nulls())
    queries = pl.read_parquet(out / "truth/queries.parquet")
    photos = queries.drop_nulls("query_image")
    assert not set(photos["product_id"]) & {"a/10", "a/11"}
    assert all((out / path).is_file() for path in photos["query_image"])
    assert set(pl.read_parquet(out / "events.parquet")["product_id"]) <= set(catalog["product_id"])
    unread = pl.read_parquet(out / "rejected.parquet").row(by_predicate=pl.col("product_id") == "a/11", named=True)
    assert (unread["table"], unread["reason"]) == ("images", "empty file (0 bytes)")
    assert unread["record"] == str(tmp_path / "11.jpg")


def test_a_shop_is_not_written_over_what_it_is_made_of(catalog: pl.DataFrame, tmp_path: Path) -> None:
    """Neither over the pictures nor over the table, though a simulated shop is there."""
    (tmp_path / "summary.json").touch()
    (tmp_path / "truth").mkdir()
    with pytest.raises(UserError, match=r"0\.jpg, which the new shop is made of; choose another folder"):
        simulate_on_catalog(catalog, lambda name: tmp_path / name, tmp_path, users=10)
    out = tmp_path / "shop"
    simulate_on_catalog(catalog, lambda name: tmp_path / name, out, users=10)
    with pytest.raises(UserError, match=r"catalog\.parquet, which the new shop is made of"):
        simulate_on_catalog(catalog, lambda name: tmp_path / name, out, users=10, reads=[out / "catalog.parquet"])
    assert (tmp_path / "0.jpg").is_file()
    simulate_on_catalog(catalog, lambda name: tmp_path / name, out, users=10)


def test_rejected_rows_of_the_catalogue_are_kept_and_counted(catalog: pl.DataFrame, tmp_path: Path) -> None:
    row = {"table": "catalog", "row": 3, "product_id": "x", "reason": "why", "record": "{}"}
    rejected = pl.DataFrame([row], REJECTED)
    summary = simulate_on_catalog(catalog, lambda name: tmp_path / name, tmp_path / "shop", users=10, rejected=rejected)
    assert summary.counts["rejected_rows"] == 1
    assert "1 rejected rows" in str(summary)
    assert pl.read_parquet(tmp_path / "shop" / "rejected.parquet").filter(table="catalog").rows() == rejected.rows()


def test_same_seed_same_log(catalog: pl.DataFrame, tmp_path: Path) -> None:
    for name in ("a", "b"):
        simulate_on_catalog(catalog, lambda name: tmp_path / name, tmp_path / name, users=10, seed=2)
    for table in ("events.parquet", "truth/queries.parquet", "truth/events.parquet"):
        assert (tmp_path / "a" / table).read_bytes() == (tmp_path / "b" / table).read_bytes()


def test_attributes_become_traits(catalog: pl.DataFrame) -> None:
    traits = catalog_traits(catalog)
    assert set(traits) == {"category", "colour", "serial"}
    assert traits["colour"][0] == "unknown"
    space = catalog_space(traits, catalog["title"].to_list(), catalog["spu_id"], np.random.default_rng(0))
    everything = np.ones((12, len(space.blocks)), dtype=bool)
    match = space.queries(np.arange(12), everything) @ space.matrix.T
    assert (match.argmax(axis=1) == np.arange(12)).all()
    assert match[1, 7] > match[1, 3] > match[1, 2]  # a cap of the same colour, another cap, a boot


def test_texts_name_what_they_say(catalog: pl.DataFrame) -> None:
    traits = catalog_traits(catalog)
    names = [*traits, "title", "fine"]
    texts = write_catalog_texts(traits, catalog["title"].to_list(), names, np.random.default_rng(0))
    assert all(text.strip() for text in texts.text)
    assert texts.named[:, :-1].any(axis=1).all()
    assert not texts.named[:, -1].any()
    said = [
        ("navy" in text) for text, p in zip(texts.text, texts.product, strict=True) if traits["colour"][p] == "Navy"
    ]
    assert any(said)


@pytest.mark.parametrize("products", [1, 12])
def test_a_catalogue_without_pictures_attributes_or_categories_still_runs(
    catalog: pl.DataFrame, tmp_path: Path, products: int
) -> None:
    bare = catalog.head(products).with_columns(
        pl.lit(None, pl.String).alias(name) for name in ("image", "category", "attributes")
    )
    summary = simulate_on_catalog(bare, lambda name: tmp_path / name, tmp_path / "out", users=5, seed=0)
    assert summary.counts["shopper_photos"] == 0
    assert summary.counts["impressions"] > 0
    assert summary.oracle["photo"] == {}
    assert pl.read_parquet(tmp_path / "out/events.parquet")["query_image"].null_count() == summary.counts["events"]


def test_an_empty_catalogue_is_the_users_to_fix(catalog: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="0 products"):
        simulate_on_catalog(catalog.head(0), lambda name: tmp_path / name, tmp_path / "out", users=5)
