"""What the tables of a shop hold: columns, types, keys, and what makes a row wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from openmoon.data.coerce import DATETIME, LIST

ACTIONS = ("impression", "click", "cart", "purchase")
SPLITS = ("train", "val", "test")
REJECTED = {
    "table": pl.String(), "row": pl.Int64(), "product_id": pl.String(), "reason": pl.String(), "record": pl.String(),
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of ours. A `required` one must be in the file and must not be empty; `fallback` fills empty values."""

    name: str
    dtype: pl.DataType = field(default_factory=pl.String)
    required: bool = False
    fallback: str | None = None


@dataclass(frozen=True)
class TableSpec:
    """What a table holds. `unique` names its key; every row needs one of `one_of`; `broken` maps reasons to rows."""

    name: str
    columns: tuple[Column, ...]
    unique: str | None = None
    one_of: tuple[str, ...] = ()
    broken: Mapping[str, pl.Expr] = field(default_factory=dict)


CATALOG = TableSpec(
    "catalog",
    (
        Column("product_id", required=True), Column("title"), Column("image"), Column("category"),
        Column("attributes"), Column("description"), Column("spu_id", fallback="product_id"),
        Column("price", pl.Float64()), Column("shop_id"), Column("created_at", DATETIME),
    ),
    unique="product_id",
    one_of=("title", "description", "image"),
    broken={"price is negative": pl.col("price") < 0},
)  # fmt: skip

EVENTS = TableSpec(
    "events",
    (
        Column("user_id", required=True), Column("timestamp", DATETIME, required=True),
        Column("action", required=True), Column("product_id", required=True), Column("query_text"),
        Column("query_image"), Column("session_id"), Column("position", pl.Int32()),
        Column("propensity", pl.Float64()), Column("creative_id"), Column("split"),
    ),
    broken={
        f"action is none of {', '.join(ACTIONS)}": ~pl.col("action").is_in(ACTIONS),
        "position is negative": pl.col("position") < 0,
        "propensity is not in (0, 1]": ~((pl.col("propensity") > 0) & (pl.col("propensity") <= 1)),
        f"split is none of {', '.join(SPLITS)}": ~pl.col("split").is_in(SPLITS),
    },
)  # fmt: skip

CREATIVES = TableSpec(
    "creatives",
    (
        Column("creative_id", required=True), Column("product_id", required=True), Column("image", required=True),
        Column("impressions", pl.Int64(), required=True), Column("clicks", pl.Int64(), required=True),
        Column("queries", LIST),
    ),
    unique="creative_id",
    broken={
        "clicks or impressions are negative": pl.min_horizontal("clicks", "impressions") < 0,
        "more clicks than impressions": pl.col("clicks") > pl.col("impressions"),
    },
)  # fmt: skip

QUERIES = TableSpec(
    "queries",
    (Column("query_text"), Column("query_image"), Column("product_id", required=True)),
    one_of=("query_text", "query_image"),
)
