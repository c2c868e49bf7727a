"""Events as numbers: read row group by row group, so that names are never all in memory and a row costs 41 bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from openmoon.ctr.entities import QUERY, places
from openmoon.data.schema import ACTIONS
from openmoon.data.splits import normalise_query


@dataclass(frozen=True)
class Events:
    """`table`: row (of the file), user, session, action (of ACTIONS), product, query, seconds since the epoch, position,
    propensity. Users, products and queries are numbers from 1 in the order of `users`, `products` and `queries` (distinct
    query_text, query_image); sessions too; 0 is none. position is 0 and propensity NaN where the log does not say."""

    table: pl.DataFrame
    users: pl.Series
    products: pl.Series
    queries: pl.DataFrame

    def of(self, action: str) -> pl.DataFrame:
        """Rows with an action."""
        return self.table.filter(pl.col("action") == ACTIONS.index(action))


def compact(chunks: Iterable[pl.DataFrame], products: pl.Series) -> Events:
    """Events as numbers, from chunks of the events table (`data/schema.py`, and `row`); `products`: the catalogue's ids."""
    users, sessions, queries = _Numbers(), _Numbers(), _Numbers()
    parts = []
    for chunk in chunks:
        asked = chunk.select(query_text=clean_text(pl.col("query_text")), query_image="query_image")
        parts.append(pl.DataFrame({
            "row": chunk["row"].cast(pl.Int64),
            "user": users.of(chunk["user_id"]),
            "session": sessions.of(chunk["session_id"].replace("", None)),
            "action": chunk["action"].replace_strict(ACTIONS, range(len(ACTIONS)), return_dtype=pl.Int8),
            "product": places(chunk["product_id"], products),
            "query": queries.of(asked.select(_joined_name()).to_series()),
            "seconds": chunk["timestamp"].dt.epoch("s"),
            "position": chunk["position"].fill_null(0).cast(pl.Int32),
            "propensity": chunk["propensity"].fill_null(float("nan")).cast(pl.Float32),
        }))  # fmt: skip
    found = pl.Series(queries.names, dtype=pl.String).str.split_exact(_BETWEEN, 1).struct.rename_fields(QUERY).struct.unnest()
    split = found.select(pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in QUERY)
    return Events(pl.concat(parts), pl.Series(users.names, dtype=pl.String), products, split)


def clean_text(text: pl.Expr) -> pl.Expr:
    """A query's text in its normal form; null where nothing is left."""
    clean = normalise_query(text)
    return pl.when(clean != "").then(clean)


_BETWEEN = "\x1f"  # stands between text and photo of a query's name; neither has it


def _joined_name() -> pl.Expr:
    """One name of a query's text and photo; null where both are."""
    parts = [pl.col(name).fill_null("").str.replace_all(_BETWEEN, " ", literal=True) for name in QUERY]
    asked = pl.any_horizontal(pl.col(QUERY).is_not_null())
    return pl.when(asked).then(pl.concat_str(parts, separator=_BETWEEN)).alias("name")


class _Numbers:
    """Numbers names from 1 in the order of their first appearance, over chunks."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        """The names, in the order of their numbers."""
        return list(self._number)

    def of(self, names: pl.Series) -> pl.Series:
        """Numbers of names; 0 for null. Python sees each distinct name of a chunk once."""
        distinct = names.drop_nulls().unique(maintain_order=True)
        numbers = [self._number.setdefault(name, len(self._number) + 1) for name in distinct.to_list()]
        return names.replace_strict(distinct, pl.Series(numbers, dtype=pl.Int32), default=0, return_dtype=pl.Int32)
