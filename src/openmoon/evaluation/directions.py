"""The directions of retrieval: which queries meet which view of the items, and which pairs are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from openmoon.evaluation.encode import Encode, can_compare

QUERY_KINDS = {
    "text": {"text": "query_text"},
    "image": {"image": "query_image"},
    "text+image": {"text": "query_text", "image": "query_image"},
}
ITEM_VIEWS = {
    "title": {"text": "title"},
    "rich": {"text": "rich"},
    "image": {"image": "image"},
    "title+image": {"text": "title", "image": "image"},
    "rich+image": {"text": "rich", "image": "image"},
}


@dataclass(frozen=True)
class Queries:
    """Distinct queries of one kind: `inputs` (text and/or image) and `labels` (query row, product_id)."""

    kind: str
    inputs: pl.DataFrame
    labels: pl.DataFrame


@dataclass(frozen=True)
class Pool:
    """The products that have at least one part of a view: `inputs` (text and/or image), and their ids in row order."""

    view: str
    inputs: pl.DataFrame
    product_ids: pl.Series


@dataclass(frozen=True)
class Direction:
    """Queries against a pool: the same candidates for every system.

    `pairs` (P, 2) holds (query row, pool row) of each label; `left_out` counts labels whose product lacks this view.
    """

    queries: Queries
    pool: Pool
    pairs: np.ndarray
    left_out: int

    @property
    def candidates(self) -> np.ndarray:
        """(P,) items that each pair ranks: the pool less the other products that are right for the same query."""
        known = np.bincount(self.pairs[:, 0])[self.pairs[:, 0]]
        return len(self.pool.inputs) - known + 1

    @property
    def shared(self) -> set[str]:
        """The modalities that both sides have: of text and image."""
        return set(self.queries.inputs.columns) & set(self.pool.inputs.columns)

    def defined_for(self, encode: Encode) -> bool:
        """Whether the encoder can compare these queries with these items."""
        return can_compare(encode, self.queries.inputs.columns, self.pool.inputs.columns)


def make_directions(
    labels: pl.DataFrame, items: pl.DataFrame, views: Sequence[str], max_queries: int, seed: int
) -> list[Direction]:
    """Every query kind × item view that has at least one label; tables as `without_blanks` returns them."""
    queries = [_queries(kind, labels, max_queries, seed) for kind in QUERY_KINDS]
    pools = [_pool(view, items) for view in views]
    directions = [_direction(asked, pool) for pool in pools for asked in queries]
    return [direction for direction in directions if len(direction.pairs)]


def without_blanks(table: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """`product_id` and `columns` as strings: stripped, null where empty or where the table has no such column."""
    absent = [pl.lit(None, pl.String).alias(name) for name in columns if name not in table.columns]
    stripped = pl.col(*columns).cast(pl.String).str.strip_chars()
    return table.with_columns(absent).select("product_id", pl.when(stripped != "").then(stripped).name.keep())


def _queries(kind: str, labels: pl.DataFrame, most: int, seed: int) -> Queries:
    parts = QUERY_KINDS[kind]
    labels = labels.select("product_id", **parts).drop_nulls().unique(maintain_order=True)
    distinct = labels.select(*parts).unique(maintain_order=True)
    if len(distinct) > most:
        distinct = distinct.sample(most, seed=seed)
    labels = labels.join(distinct.with_row_index("query"), on=list(parts), maintain_order="left")
    return Queries(kind, distinct, labels.select("query", "product_id"))


def _pool(view: str, items: pl.DataFrame) -> Pool:
    parts = ITEM_VIEWS[view]
    items = items.filter(pl.any_horizontal(pl.col(*parts.values()).is_not_null()))
    return Pool(view, items.select(**parts), items["product_id"])


def _direction(queries: Queries, pool: Pool) -> Direction:
    rows = pl.DataFrame({"product_id": pool.product_ids}).with_row_index("item")
    found = queries.labels.join(rows, on="product_id", maintain_order="left")
    pairs = found.select("query", "item").to_numpy().astype(np.int64)
    return Direction(queries, pool, pairs, len(queries.labels) - len(pairs))
