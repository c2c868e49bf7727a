"""The sample shop as a whole: its files, their repeatability, and what may not be in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from openmoon.data.sample import ShopSummary, build_sample_shop
from openmoon.data.sample.catalog import true_products
from openmoon.errors import UserError

Shop = tuple[Path, ShopSummary]
CATALOG = ["product_id", "title", "image", "category", "attributes", "description", "spu_id", "price", "shop_id",
           "created_at"]  # fmt: skip
EVENTS = ["user_id", "timestamp", "action", "product_id", "query_text", "query_image", "session_id", "position",
          "propensity"]  # fmt: skip
CREATIVES = ["creative_id", "product_id", "image", "impressions", "clicks", "queries"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_same_seed_gives_the_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    # enough pictures for two workers to be started
    first, second = tmp_path / "a", tmp_path / "b"
    build_sample_shop(first, 90, 20, seed=5, workers=1)
    build_sample_shop(second, 90, 20, seed=5, workers=2)
    assert files(first) == files(second)
    assert len(list((first / "images").iterdir())) > 80


def test_another_seed_gives_another_shop() -> None:
    shops = [true_products(50, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    assert shops[0].equals(shops[1])
    assert not shops[0].equals(shops[2])


def test_public_tables_hold_what_the_contract_says_and_no_truth(shop: Shop) -> None:
    folder, _ = shop
    assert pl.read_parquet_schema(folder / "catalog.parquet").names() == CATALOG
    assert pl.read_parquet_schema(folder / "events.parquet").names() == EVENTS
    assert pl.read_parquet_schema(folder / "creatives.parquet").names() == CREATIVES


def test_every_key_joins_and_every_picture_is_there(shop: Shop) -> None:
    folder, summary = shop
    catalog = pl.read_parquet(folder / "catalog.parquet")
    events = pl.read_parquet(folder / "events.parquet")
    creatives = pl.read_parquet(folder / "creatives.parquet")
    queries = pl.read_parquet(folder / "truth/queries.parquet")
    assert catalog["product_id"].is_unique().all()
    assert catalog.filter(pl.col("title").is_null() & pl.col("image").is_null()).is_empty()
    for table in (events, creatives, queries):
        assert set(table["product_id"]) <= set(catalog["product_id"])
    named = [*catalog["image"], *events["query_image"], *creatives["image"], *queries["query_image"]]
    paths = {path for path in named if path is not None}
    assert all((folder / path).is_file() for path in paths)
    for path in sorted(paths)[::29]:
        with Image.open(folder / path) as picture:
            assert picture.size == (224, 224)
            assert picture.mode == "RGB"
    assert events.height == summary.counts["events"]
    assert json.loads((folder / "summary.json").read_text())["counts"] == summary.counts


def test_photo_names_do_not_tell_the_product(shop: Shop) -> None:
    folder, _ = shop
    photos = pl.read_parquet(folder / "truth/queries.parquet").drop_nulls("query_image").sort("query_image")
    same_as_next = photos["product_id"] == photos["product_id"].shift(-1)
    assert not any(product in path for product, path in photos.select("product_id", "query_image").iter_rows())
    assert same_as_next.mean() < 0.15


def test_siblings_differ_and_share_their_spu(shop: Shop) -> None:
    folder, _ = shop
    true = pl.read_parquet(folder / "truth/products.parquet")
    spus = true.group_by("spu_id").agg(
        pl.len(), pl.col("type", "variant", "brand", "pattern").n_unique(), looks=pl.struct("colour", "size").n_unique()
    )
    assert (spus.select("type", "variant", "brand", "pattern") == 1).min_horizontal().all()
    assert (spus["looks"] == spus["len"]).all()
    assert (spus["len"] > 1).any()


def test_never_writes_over_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="not a simulated shop"):
        build_sample_shop(tmp_path, 40, 5, seed=0)
    with pytest.raises(UserError, match="is a file"):
        build_sample_shop(tmp_path / "thesis.txt", 40, 5, seed=0)
    with pytest.raises(UserError, match="at least 32 products"):
        build_sample_shop(tmp_path / "new", 3, 5, seed=0)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert not (tmp_path / "new").exists()
