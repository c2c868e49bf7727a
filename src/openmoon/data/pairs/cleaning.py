"""The rules that training pairs pass (MOON post-training, 2b, and the caps that serious systems have).

Each rule takes pairs and returns those that stay, in their order. Columns: query_text, query_image_key, product_id, spu,
category, count, users, action. Reconstructed: the order of the rules, ties, and what a rule does with queries of text and photo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from openmoon.data.pairs.behaviour import STRENGTH
from openmoon.data.pairs.entities import Entities
from openmoon.io import hash_number

QUERY = ("query_text", "query_image_key")
MOST_REPEATS = 3  # of one pair, where its category is met too seldom


def cap_per_user(pairs: pl.DataFrame, most: int) -> pl.DataFrame:
    """Of each shopper the `most` strongest and most frequent pairs; a pair stays if any of its shoppers keeps it, so that the
    habits of a robot do not take away what others asked for."""
    held = _ranked(pairs).explode("users").group_by("users", maintain_order=True).head(most)
    return _those(pairs, held)


def cap_per_item(pairs: pl.DataFrame, most: int) -> pl.DataFrame:
    """At most `most` pairs of each product, the strongest and most frequent, so that bestsellers do not fill the batches."""
    return _those(pairs, _ranked(pairs).group_by("product_id", maintain_order=True).head(most))


def merge_spus(pairs: pl.DataFrame) -> pl.DataFrame:
    """Of the SKUs of one SPU that were chosen for one query, the most chosen stands for all."""
    return _those(pairs, _ranked(pairs).unique([*QUERY, "spu"], keep="first", maintain_order=True))


def with_entities(pairs: pl.DataFrame, entities: Entities, least: int) -> pl.DataFrame:
    """Texts that name fewer than `least` things go: the pair, or where a photo is beside it, the text alone. Of pairs that are
    one pair then the strongest stays."""
    poor = entities.count(pairs["query_text"]) < least
    text = pl.when(~pl.lit(poor)).then("query_text").alias("query_text")
    left = pairs.with_columns(text).filter(pl.any_horizontal(pl.col(*QUERY).is_not_null()))
    same = [name for name in (*QUERY, "product_id", "asker") if name in left.columns]
    return _those(left, _ranked(left).unique(same, keep="first", maintain_order=True))


def hardest_queries(pairs: pl.DataFrame, scores: np.ndarray) -> pl.DataFrame:
    """Of several queries of one kind (text, photo, both) for one SPU the one least similar to its item; `scores` (P,)."""
    kind = [pl.col(name).is_null() for name in QUERY]
    # rounded, so that the last bits of a score, which depend on the number of threads, do not decide; between a CPU and a GPU
    # more than those differ
    scored = pairs.with_row_index("pair").with_columns(pl.Series("score", scores).round(4), tie=_draw(pairs))
    return _those(pairs, scored.sort("score", "tie").unique(["spu", *kind], keep="first", maintain_order=True))


def match_categories(pairs: pl.DataFrame, shares: Mapping[str | None, float]) -> pl.DataFrame:
    """As many pairs, but each category with its share of the impressions: frequent ones lose pairs drawn by hash, rare ones
    repeat theirs, up to three times; what these fall short of goes to the others by their shares. `shares` need not add up to 1;
    a category without impressions goes."""
    counts = {row["category"]: row["len"] for row in pairs.group_by("category").len().iter_rows(named=True)}
    factor = _factors(counts, shares)
    wanted = np.array([factor[category] for category in pairs["category"]])
    order = pl.DataFrame({"category": pairs["category"], "draw": _draw(pairs)})
    rank = order.select(pl.col("draw").rank("ordinal").over("category") - 1).to_series().to_numpy()
    size = np.array([counts[category] for category in pairs["category"]])
    whole = np.floor(wanted)
    times = whole + (rank < np.round((wanted - whole) * size))
    return pairs[np.repeat(np.arange(len(pairs)), times.astype(np.int64))]


def _factors(counts: Mapping[str | None, int], shares: Mapping[str | None, float]) -> dict[str | None, float]:
    """How often each category's pairs are met, 0 to `MOST_REPEATS`."""
    factor = dict.fromkeys(counts, 0.0)
    rest = {category: share for category in counts if (share := shares.get(category, 0.0)) > 0}
    wanted = float(sum(counts.values()))
    while rest:
        unit = wanted / sum(rest.values())
        short = [category for category, share in rest.items() if share * unit > MOST_REPEATS * counts[category]]
        if not short:
            return factor | {category: share * unit / counts[category] for category, share in rest.items()}
        for category in short:
            factor[category] = float(MOST_REPEATS)
            wanted -= MOST_REPEATS * counts[category]
            del rest[category]
    return factor


def impression_shares(events: pl.DataFrame, items: pl.DataFrame) -> dict[str | None, float]:
    """Share of the impressions of `items` (product_id, category) that each category has; empty for a log without them."""
    seen = events.lazy().filter(pl.col("action") == "impression").group_by("product_id").len().collect()
    by_category = items.join(seen, on="product_id", how="inner").group_by("category").agg(pl.col("len").sum())
    total = by_category["len"].sum()
    return {row["category"]: row["len"] / total for row in by_category.iter_rows(named=True)}


def _ranked(pairs: pl.DataFrame) -> pl.DataFrame:
    """With `pair`, their row: strongest action, most frequent, then in an order of their own."""
    strength = pl.col("action").cast(STRENGTH).to_physical()
    return pairs.with_row_index("pair").with_columns(_draw(pairs), strength=strength).sort(
        "strength", "count", "draw", descending=[True, True, False]
    )  # fmt: skip


def _those(pairs: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    return pairs[chosen["pair"].unique().sort().to_numpy()]


def _draw(pairs: pl.DataFrame, columns: Sequence[str] = (*QUERY, "product_id")) -> pl.Series:
    """A number per pair that follows from its content, not from its place."""
    return pl.Series("draw", [hash_number(repr(row)) for row in pairs.select(columns).iter_rows()], pl.UInt64)
