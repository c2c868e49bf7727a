"""Exact search over a vectors table: reads it once in chunks, whatever its size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from openmoon.errors import UserError
from openmoon.serving.vectors import COLUMNS, PRODUCT, VectorTable
from openmoon.topk import topk


def search(vectors_path: Path, query_vectors: np.ndarray, k: int = 10, encoder_id: str | None = None) -> pl.DataFrame:
    """The k nearest products by cosine.

    Args:
        vectors_path: the vectors table, ours or anyone's with product_id and vector, of whatever length.
        query_vectors: (dim,) or (Q, dim), L2-normalised.
        k: results per query; fewer when the table is smaller.
        encoder_id: what made the query vectors; when given, the table must name the same encoder.

    Returns:
        query (row of the query vector), rank (1…k), product_id, score (cosine, −1…1), best first; of equal scores the
        product that stands first in the table comes first.

    Raises:
        UserError: no table, a broken one, an empty one, another encoder, vectors of another length, or a product that a
            query finds twice.
    """
    queries = np.atleast_2d(np.asarray(query_vectors, np.float32))
    table = VectorTable(vectors_path, [*PRODUCT, "vector"] if encoder_id is None else COLUMNS)
    if queries.shape[1] != table.dim:
        raise UserError(
            f"{vectors_path}: vectors have {table.dim} dimensions, the query has {queries.shape[1]}; "
            "query and table need the same encoder and truncation."
        )
    if not table.rows:
        raise UserError(f"{vectors_path}: the vectors table is empty; run `openmoon embed` first.")
    if encoder_id is not None:
        _check_encoder(table, encoder_id)
    chunks = (_normalised(table.matrix(batch.column(0))) for batch in table.batches(["vector"]))
    scores, rows = topk(queries, chunks, k)
    found = pl.DataFrame(
        {
            "query": np.repeat(np.arange(len(queries)), rows.shape[1]),
            "rank": np.tile(np.arange(1, rows.shape[1] + 1), len(queries)),
            "row": rows.reshape(-1),
            "score": scores.reshape(-1),
        }
    )
    ids = _ids_of(table, found["row"].unique())
    named = found.join(ids, on="row", maintain_order="left").select("query", "rank", "product_id", "score")
    if (twice := named.filter(pl.struct("query", "product_id").is_duplicated())).height:
        raise UserError(f"{vectors_path}: has several vectors of product {twice['product_id'][0]!r}; keep one.")
    return named


def _normalised(vectors: np.ndarray) -> np.ndarray:
    if not np.isfinite(vectors).all():
        raise UserError("search: the vectors table holds NaN or infinity; make it again.")
    wide = vectors.astype(np.float64)
    return (wide / np.linalg.norm(wide, axis=1, keepdims=True).clip(1e-12)).astype(np.float32)


def _check_encoder(table: VectorTable, encoder_id: str) -> None:
    """The weights decide, which the part after the @ identifies: a recipe may have got another name."""
    for batch in table.batches(["encoder"]):
        for found in batch.column(0).unique().to_pylist():
            if found is None or found.rpartition("@")[2] != encoder_id.rpartition("@")[2]:
                raise UserError(
                    f"{table.path}: made by encoder {found!r}, the query by {encoder_id!r}; vectors of two encoders "
                    "cannot be compared. Run `openmoon embed` with this encoder."
                )


def _ids_of(table: VectorTable, rows: pl.Series) -> pl.DataFrame:
    """Product ids of some rows, without holding the others."""
    wanted, parts, first = pl.DataFrame({"row": rows}), [], 0
    for batch in table.batches(["product_id"]):
        ids = pl.DataFrame(pl.from_arrow(batch)).with_row_index("row", first).cast({"row": pl.Int64})
        parts.append(ids.join(wanted, on="row", how="semi"))
        first += len(batch)
    return pl.concat(parts)
