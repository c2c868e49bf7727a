"""Events as numbers: read row group by row group and kept on disk, where a row costs 45 bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.ctr.columns import Columns
from openmoon.ctr.entities import QUERY, places
from openmoon.data.schema import ACTIONS, EVENTS
from openmoon.data.splits import normalise_query

PART = 8_000_000  # events that are joined and sorted at once
MOST_PARTS = 128  # each holds a file open; with more events than so many parts take, parts are larger
CHUNK = 1_000_000  # events that are dealt out to parts at once
EMPTY = pl.DataFrame(schema={"row": pl.Int64, **{column.name: column.dtype for column in EVENTS.columns}})
COLUMNS = ("row", "user", "session", "action", "product", "query", "seconds", "position", "propensity")


@dataclass(frozen=True)
class Events:
    """`columns`: row (of the file), user, session, action (of ACTIONS), product, query, seconds since the epoch, position,
    propensity. Users, products and queries are numbers from 1 in the order of `users`, `products` and `queries` (distinct
    query_text, query_image), sessions hashes of their names; 0 is none. position is 0 and propensity NaN where the log does not
    say."""

    columns: Columns
    users: pl.Series
    products: pl.Series
    queries: pl.DataFrame

    def parts(self, most: int = PART) -> Iterator[pl.DataFrame]:
        """The events as tables of about `most` rows, all of a shopper's in one, in the order of the file."""
        count = len(self.columns["row"])
        parts = min(-(-count // most), MOST_PARTS)
        if parts <= 1:
            yield self._table(slice(None))
            return
        dealt = [Columns(self.columns.folder) for _ in range(parts)]
        for start in range(0, count, CHUNK):
            chunk = self._table(slice(start, start + CHUNK))
            for number, part in enumerate(dealt):
                part.append(rows=chunk.filter(pl.col("user") % parts == number).to_numpy(structured=True))
        while dealt:
            yield pl.DataFrame(dealt.pop(0)["rows"])

    def _table(self, rows: slice) -> pl.DataFrame:
        return pl.DataFrame({name: self.columns[name][rows] for name in COLUMNS})


def compact(chunks: Iterable[pl.DataFrame], products: pl.Series, folder: Path) -> Events:
    """Events as numbers, from chunks of the events table (`data/schema.py`, and `row`); `products`: the catalogue's ids. The
    numbers, and what is made of them, lie in nameless files of `folder`."""
    users, queries, columns = _Numbers(), _Numbers(), Columns(folder)
    for chunk in chain([EMPTY], chunks):
        asked = chunk.select(query_text=clean_text(pl.col("query_text")), query_image="query_image")
        columns.append(**_arrays(pl.DataFrame({
            "row": chunk["row"].cast(pl.Int64),
            "user": users.of(chunk["user_id"]),
            "session": _hashed(chunk["session_id"]),
            "action": chunk["action"].replace_strict(ACTIONS, range(len(ACTIONS)), return_dtype=pl.Int8),
            "product": places(chunk["product_id"], products),
            "query": queries.of(asked.select(_joined_name()).to_series()),
            "seconds": chunk["timestamp"].dt.epoch("s"),
            "position": chunk["position"].fill_null(0).cast(pl.Int32),
            "propensity": chunk["propensity"].fill_null(float("nan")).cast(pl.Float32),
        })))  # fmt: skip
    found = pl.Series(queries.names, dtype=pl.String).str.split_exact(_BETWEEN, 1).struct.rename_fields(QUERY).struct.unnest()
    split = found.select(pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in QUERY)
    return Events(columns, pl.Series(users.names, dtype=pl.String), products, split)


def _arrays(table: pl.DataFrame) -> dict[str, np.ndarray]:
    return {name: table[name].to_numpy() for name in COLUMNS}


def _hashed(names: pl.Series) -> pl.Series:
    """(n,) Int64: equal for equal names; 0 for null and the empty name. Sessions are too many to remember their names."""
    there = names.is_not_null() & (names != "")
    return names.hash().reinterpret(signed=True).zip_with(there, pl.Series([0], dtype=pl.Int64))


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
