"""Suite `grocery`: what `openmoon data import grocery` writes. Shoppers' photos look for products, and are classified.

The pool are all 81 products: every encoder may know them, it is the photos that are split, by the data set's own lists. The
test photos are measured; where only the train and val lists are there, val. The examples of classification and probes are
the photos, with the category, department and title of their product.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from openmoon.config import DataConfig
from openmoon.data.attributes import members
from openmoon.data.shop import load_shop
from openmoon.data.text import item_texts
from openmoon.errors import UserError
from openmoon.evaluation.benchmark.suite import EXAMPLES, POOL, QUERIES, Suite


def read_grocery(folder: Path, scratch: Path, advance: Callable[[int], object]) -> Suite:
    """catalog.parquet and events.parquet (query_image, product_id, split) of the import."""
    for name in ("catalog.parquet", "events.parquet"):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: has no {name}; --data takes a folder that `openmoon data import grocery` made.")
    shop = load_shop(DataConfig(root=folder, events=Path("events.parquet")))
    assert shop.events is not None
    labels = set(shop.events["split"].drop_nulls())
    measured = next((split for split in ("test", "val") if split in labels), None)
    if measured is None or "train" not in labels:
        raise UserError(f"{folder / 'events.parquet'}: split has {', '.join(sorted(labels)) or 'no labels'}; "
                        "expected train and test or val.")  # fmt: skip
    titles = item_texts(shop.catalog).select("product_id", product="title")
    products = shop.catalog.join(titles, on="product_id", how="left", maintain_order="left")
    pool = products.with_columns(title=pl.col("product"), image=shop.image_paths(pl.col("image"))).select(POOL)
    named = products.select("product_id", "category", "product", "attributes")
    photos = shop.events.join(named, on="product_id", how="left", maintain_order="left").filter(
        pl.col("split").is_in(["train", measured])
    )
    photos = photos.with_columns(
        split=pl.col("split").replace(measured, "test"), image=shop.image_paths(pl.col("query_image")), example_id="query_image",
        title=pl.lit(None, pl.String),
    )  # fmt: skip
    department = [found.get("department") for found in members(photos["attributes"])]
    attributes = photos.select("product", department=pl.Series("department", department, pl.String))
    queries = photos.filter(split="test").with_columns(query_image=pl.col("image")).select(QUERIES)
    rejected = [f"{shop.rejected.height:,} rows of its tables are rejected"] if len(shop.rejected) else []
    return Suite("grocery", pool, queries, photos.select(EXAMPLES), attributes, are_products=False,
                 notes=(f"measured on the {measured} photos; the examples are photos, not products", *rejected))  # fmt: skip

