"""What must stay in one split: products of one SPU, and products and photos of queries whose pictures look the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from openmoon.config import SplitConfig
from openmoon.data.duplicates import LOOK, components, looks, near_duplicates
from openmoon.data.image_cache import ImageCache
from openmoon.data.splits import split_products
from openmoon.data.store import RaggedStore

BATCH = 256  # pictures in memory at once
VERSION = 1  # raise it when `looks` comes to say otherwise


def look_alikes(keys: Sequence[str], images: ImageCache) -> npt.NDArray[np.int64]:
    """Label (N,) int64 of N distinct pictures in the cache: those that look the same share one. What they look like is
    kept beside their pixels."""
    kept = RaggedStore(images.folder / f"looks-v{VERSION}", (), LOOK)
    new = kept.missing(keys)
    for batch in (new[start : start + BATCH] for start in range(0, len(new), BATCH)):
        kept.append(batch, list(looks(images.pixels(batch))[:, None]))
    return near_duplicates(kept.rows[kept.locate(keys)[0]])


def families(spus: pl.Series, keys: pl.Series, images: ImageCache) -> pl.Series:
    """A name (N,) per product, equal for products that share an SPU or a look-alike picture, directly or over others.

    `spus` are SPU ids, `keys` picture keys (null: no picture). The name is the least SPU id of the family, so
    it does not depend on the order of the rows. Shops list one product several times; with copies on both sides of a
    split, recall would measure memory.
    """
    distinct = keys.drop_nulls().unique(maintain_order=True)
    look = keys.replace_strict(distinct, look_alikes(distinct.to_list(), images), default=None, return_dtype=pl.Int64)
    rows = pl.DataFrame({"row": np.arange(len(spus)), "spu": spus, "look": look})
    linked = pl.concat([
        rows.filter(pl.col(name).is_not_null()).select(pl.col("row").first().over(name).alias("first"), "row")
        for name in ("spu", "look")
    ])  # fmt: skip
    found = rows.with_columns(family=components(linked.to_numpy(), len(spus)))
    return found.select(pl.col("spu").min().over("family").alias("family")).to_series()


def with_looks(tables: Sequence[pl.DataFrame], images: ImageCache, config: SplitConfig) -> list[pl.DataFrame]:
    """Tables with `query_look` beside their `query_image_key`: equal for photos, of whichever table, that look the same where
    `config` keeps look-alikes together, else the photo itself. A photo that an app compressed again is no new one."""
    if not config.by_looks:
        return [table.with_columns(query_look="query_image_key") for table in tables]
    keys = pl.concat([table["query_image_key"] for table in tables]).drop_nulls().unique(maintain_order=True)
    known = pl.DataFrame({"query_image_key": keys, "look": look_alikes(keys.to_list(), images)})
    known = known.select("query_image_key", query_look=pl.col("query_image_key").min().over("look"))
    return [table.join(known, on="query_image_key", how="left", maintain_order="left") for table in tables]


def split_catalog(products: pl.DataFrame, images: ImageCache, config: SplitConfig) -> pl.DataFrame:
    """`split_products` of product_id, spu_id, image_key, with families in the place of SPUs where `config` says so."""
    if config.by_looks:
        family = families(products["spu_id"], products["image_key"], images)
        products = products.with_columns(family.alias("spu_id"))
    return split_products(products, config)
