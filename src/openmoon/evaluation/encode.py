"""What evaluation asks of an encoder, and encoding a whole catalogue without holding its vectors in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Protocol

import numpy as np
import polars as pl

from openmoon.errors import UserError


class Encode(Protocol):
    """Inputs, each a dictionary with "text", "image" (a path) or both → vectors (N, d), L2-normalised.

    An encoder whose text and picture vectors cannot be compared says so with an attribute `cross_modal = False`; cells
    in which query and item share no modality are then left undefined for it.
    """

    def __call__(self, inputs: list[dict[str, str]], /) -> np.ndarray: ...


def is_cross_modal(encode: Encode) -> bool:
    """Whether a text vector of this encoder may be compared with a picture vector."""
    return bool(getattr(encode, "cross_modal", True))


def encode_table(
    encode: Encode,
    table: pl.DataFrame,
    name: str,
    advance: Callable[[int], None] = lambda done: None,
    chunk: int = 1024,
) -> np.ndarray:
    """Vectors (N, d) float32 of the rows of `table` (text and/or image, nulls are missing parts).

    They lie on disk in an unnamed temporary file; `chunk` of them are in memory at a time and `advance` is told how
    many were done. Raises `UserError` naming the encoder when a vector is not finite or the shape is not (N, d).
    """
    vectors: np.ndarray | None = None
    for start in range(0, len(table), chunk):
        rows = table.slice(start, chunk).iter_rows(named=True)
        inputs = [{key: value for key, value in row.items() if value is not None} for row in rows]
        found = np.asarray(encode(inputs), np.float32)
        if found.ndim != 2 or len(found) != len(inputs):
            raise UserError(f"encoder {name!r}: expected vectors of shape ({len(inputs)}, d), got {found.shape}.")
        if not np.isfinite(found).all():
            raise UserError(f"encoder {name!r}: vectors hold NaN or infinity; training or export broke it.")
        if vectors is None:
            vectors = _on_disk((len(table), found.shape[1]))
        vectors[start : start + len(inputs)] = found
        advance(len(inputs))
    if vectors is None:
        raise ValueError("nothing to encode")
    return vectors


def _on_disk(shape: tuple[int, int]) -> np.ndarray:
    with tempfile.TemporaryFile(prefix="openmoon-vectors-") as file:  # the mapping keeps the file alive
        return np.memmap(file, np.float32, "w+", shape=shape)
