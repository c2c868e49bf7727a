"""From behaviour to pairs: who searched for what and what they chose; and, to compare with, what was clicked in a row."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from openmoon.data.schema import ACTIONS
from openmoon.data.splits import PRIORITY, normalise_query

STRENGTH = pl.Enum(ACTIONS)
VISIT = pl.coalesce("session_id", pl.format("{}/{}", "user_id", pl.col("timestamp").dt.date()))
_SUMMARY = (
    pl.len().alias("count"), pl.col("user_id").unique(maintain_order=True).alias("users"),
    pl.format("{}/{}", "user_id", VISIT).drop_nulls().unique(maintain_order=True).alias("visits"),
    pl.col("action").cast(STRENGTH).max().cast(pl.String), pl.col("split").first(),
    pl.col("timestamp").max().alias("latest"),
)  # fmt: skip


def asked_words(text: pl.Expr) -> pl.Expr:
    """A query's text as it is learnt from: Unicode NFKC, single spaces, lower case; null where nothing is left."""
    text = normalise_query(text)
    return pl.when(text != "").then(text)


def under_one_label(events: pl.DataFrame) -> pl.DataFrame:
    """The events without those of a query→item pair that another label holds out (of `split`: test before val before train): what
    is measured says nothing of what is taught."""
    keys = [asked_words(pl.col("query_text")), pl.col("query_image"), pl.col("product_id")]
    rank = pl.col("split").replace_strict(PRIORITY, default=len(PRIORITY), return_dtype=pl.Int8)
    return events.filter(rank == rank.min().over(keys))


def behaviour_pairs(events: pl.DataFrame, actions: Sequence[str]) -> pl.DataFrame:
    """Distinct (query_text, query_image, product_id) of the events whose action is in `actions`, in order of first use.

    Texts are as in `asked_words`. Events without a query are left out: there is nothing to pair. `count` says how often the pair
    was chosen, `users` by whom, `visits` in which sessions (on a shopper's days where the log has none), `action` is the
    strongest that it saw (impression < click < cart < purchase), `latest` the last time; `split` is kept for logs that bring
    their own.
    """
    return (
        events.lazy()
        .filter(pl.col("action").is_in(list(actions)))
        .with_columns(asked_words(pl.col("query_text")).alias("query_text"))
        .filter(pl.col("query_text").is_not_null() | pl.col("query_image").is_not_null())
        .group_by("query_text", "query_image", "product_id", maintain_order=True)
        .agg(*_SUMMARY)
        .collect()
    )


def with_one_name(pairs: pl.DataFrame) -> pl.DataFrame:
    """`behaviour_pairs` that have their `query_image_key`, those of one picture, under whichever names it came, as one: choices
    are counted together, users and visits joined, the strongest action and the last time kept, and of the labels the one that
    holds out first (test before val before train)."""
    rank = pl.col("split").replace_strict(PRIORITY, default=len(PRIORITY), return_dtype=pl.Int8)
    return (
        pairs.lazy()
        .group_by("query_text", "query_image_key", "product_id", maintain_order=True)
        .agg(
            pl.col("query_image").first(), pl.col("count").sum(),
            *(pl.col(name).explode().drop_nulls().unique(maintain_order=True) for name in ("users", "visits")),
            pl.col("action").cast(STRENGTH).max().cast(pl.String), pl.col("split").sort_by(rank).first(), pl.col("latest").max(),
        )
        .select(pairs.columns)
        .collect()
    )  # fmt: skip


def co_click_pairs(events: pl.DataFrame, actions: Sequence[str], catalog: pl.DataFrame) -> pl.DataFrame:
    """Products chosen one after the other in a session, as pairs of the first's title and picture with the second.

    A comparison, not a recommendation: what is clicked in a row follows popularity and position more than likeness. The
    columns are those of `behaviour_pairs`, of the second product, and `asker`, the first one's id; `catalog` holds product_id,
    title, image. A session is a `session_id`, or a shopper's day where the log has none. Pairs of a product with itself are left
    out.
    """
    visit = ["user_id", "visit"]
    second = pl.col("product_id", "action", "timestamp", "split").shift(-1).over(visit).name.prefix("next_")
    shown = catalog.lazy().select("product_id", query_text="title", query_image="image")
    return (
        events.lazy()
        .filter(pl.col("action").is_in(list(actions)))
        .with_columns(VISIT.alias("visit"))
        .sort("timestamp", maintain_order=True)
        .with_columns(pl.col("action").cast(STRENGTH).max().over(*visit, "product_id"),
                      pl.col("timestamp").max().over(*visit, "product_id"))
        .unique([*visit, "product_id"], keep="first", maintain_order=True)
        .select("user_id", "session_id", "product_id", second)
        .filter(pl.col("next_product_id").is_not_null())
        .join(shown, on="product_id", how="inner", maintain_order="left")
        .filter(pl.col("query_text").is_not_null() | pl.col("query_image").is_not_null())
        .rename({"product_id": "asker"})
        .rename({f"next_{name}": name for name in ("product_id", "action", "timestamp", "split")})
        .group_by("query_text", "query_image", "product_id", maintain_order=True)
        .agg(*_SUMMARY, pl.col("asker").first())
        .collect()
    )  # fmt: skip
