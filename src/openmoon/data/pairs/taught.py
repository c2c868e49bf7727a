"""Queries that an encoder may have been taught by, whatever its recipe: so that all are measured on the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from openmoon.config import SplitConfig
from openmoon.data.splits import split_pairs
from openmoon.errors import UserError

LEARNT = (("click", "cart", "purchase"), ("cart", "purchase"), ("purchase",))  # actions that encoders are usually taught by


def taught_queries(
    pairs_of: Callable[[Sequence[str]], pl.DataFrame], products: pl.DataFrame, split: SplitConfig
) -> pl.DataFrame:
    """query_text, query_image_key of the pairs that `split_pairs` puts on the side of train or val, whichever of the `LEARNT`
    actions make pairs: `pairs_of` gives those of some actions (`behaviour_pairs`, with query_image_key and query_look)."""
    return pl.concat([_taught(pairs_of(actions), products, split) for actions in LEARNT])


def _taught(pairs: pl.DataFrame, products: pl.DataFrame, split: SplitConfig) -> pl.DataFrame:
    """Where the pairs are too few to be divided, those of all products outside the test."""
    try:
        divided, _ = split_pairs(pairs, products, split)
    except UserError:
        divided = pairs.drop("split").join(products, on="product_id")
    return divided.filter(pl.col("split") != "test").select("query_text", "query_image_key")
