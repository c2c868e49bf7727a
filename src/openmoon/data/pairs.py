"""From behaviour to query→item pairs: who searched for what and what they chose."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from openmoon.data.schema import ACTIONS


def behaviour_pairs(events: pl.DataFrame, actions: Sequence[str]) -> pl.DataFrame:
    """Distinct (query_text, query_image, product_id) of the events whose action is in `actions`, in order of first use.

    Texts are trimmed and lower-cased. Events without a query are left out: there is nothing to pair. `count` says how
    often the pair was chosen, `action` is the strongest that it saw (click < cart < purchase); `split` is kept for logs that
    bring their own.
    """
    strength = pl.col("action").cast(pl.Enum(ACTIONS))
    text = pl.col("query_text").str.replace_all(r"\s+", " ").str.strip_chars().str.to_lowercase()
    return (
        events.lazy()
        .filter(pl.col("action").is_in(list(actions)))
        .with_columns(pl.when(text != "").then(text).alias("query_text"))
        .filter(pl.col("query_text").is_not_null() | pl.col("query_image").is_not_null())
        .group_by("query_text", "query_image", "product_id", maintain_order=True)
        .agg(pl.len().alias("count"), strength.max().cast(pl.String), pl.col("split").first())
        .collect()
    )
