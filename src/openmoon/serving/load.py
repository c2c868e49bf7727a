"""Vectors tables whole in memory, for what needs every product or query at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from openmoon.errors import UserError
from openmoon.serving.vectors import PRODUCT, QUERY, VectorTable


class Vectors(NamedTuple):
    """Products `ids` and their vectors, `matrix` (n, dim) float32, in the table's order; `encoder` made them (None: the table
    does not say)."""

    ids: list[str]
    matrix: np.ndarray
    encoder: str | None


class QueryVectors(NamedTuple):
    """`queries` (query_text, query_image, either may be null) and the rest as in `Vectors`."""

    queries: pl.DataFrame
    matrix: np.ndarray
    encoder: str | None


def load_vectors(path: Path) -> Vectors:
    """The table of products at `path`, ours or anyone's: it needs product_id (ids may be numbers) and vector.

    Raises `UserError` as `VectorTable` does, for a product that is there twice or without an id, for vectors with NaN or
    infinity, and for vectors of several encoders, which cannot be compared.
    """
    keys, matrix, encoder = _load(path, PRODUCT)
    return Vectors(keys["product_id"].to_list(), matrix, encoder)


def load_query_vectors(path: Path) -> QueryVectors:
    """The table of queries at `path`, which `openmoon embed` writes with `embed.queries: true`. Raises as `load_vectors`."""
    return QueryVectors(*_load(path, QUERY))


def _load(path: Path, keys: Sequence[str]) -> tuple[pl.DataFrame, np.ndarray, str | None]:
    table = VectorTable(path, [*keys, "vector"])
    matrix, start = np.empty((table.rows, table.dim), np.float32), 0
    parts = [pl.DataFrame(schema=dict.fromkeys(keys, pl.String))]
    for batch in table.batches([*keys, "vector"]):
        matrix[start : start + len(batch)] = table.matrix(batch.column("vector"))
        start += len(batch)
        parts.append(pl.DataFrame({key: pl.Series(batch.column(key)) for key in keys}))
    found = pl.concat(parts)
    for reason, rows in {
        "has no key": found.select(pl.all_horizontal(pl.all().is_null())).to_series(),
        "is there twice": found.is_duplicated(),
        "has NaN or infinity in its vector": pl.Series(~np.isfinite(matrix).all(1)),
    }.items():
        if rows.any():
            row = int(rows.arg_max() or 0)
            raise UserError(f"{path}: row {row} ({', '.join(keys)} = {', '.join(map(repr, found.row(row)))}) {reason}; every row "
                            "needs a key of its own and finite numbers. Make the table again.")  # fmt: skip
    return found, matrix, _encoder(table)


def _encoder(table: VectorTable) -> str | None:
    """What all rows are made by; None where there is no such column or nothing in it."""
    if "encoder" not in table.columns:
        return None
    names = {name for batch in table.batches(["encoder"]) for name in batch.column(0).unique().to_pylist() if name is not None}
    if len(names) > 1:
        first, second = sorted(map(repr, names))[:2]
        raise UserError(f"{table.path}: holds vectors of the encoders {first} and {second}, which cannot be compared; keep one.")
    return str(names.pop()) if names else None
