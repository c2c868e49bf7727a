"""What evaluation asks of an encoder, and encoding a whole catalogue without holding its vectors in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection
from typing import Protocol

import numpy as np
import polars as pl
import torch

from openmoon.errors import UserError

LONGEST = 1.01  # of a vector of length 1 in few bits


class Encode(Protocol):
    """Inputs, each a dictionary with "text", "image" (a path) or both → vectors (N, d), of length 1 (or less, where
    a missing part is to count as zero: `untuned.py`).

    An encoder whose text and picture vectors cannot be compared says so with an attribute `cross_modal = False`, and one
    that does not read every kind of input names those that it reads in an attribute `reads`, a collection of sets of "text"
    and "image". Cells that ask for more are left undefined for it.
    """

    def __call__(self, inputs: list[dict[str, str]], /) -> np.ndarray: ...


def can_read(encode: Encode, parts: Collection[str]) -> bool:
    """Whether this encoder takes inputs that consist of `parts`, of "text" and "image"."""
    reads = getattr(encode, "reads", None)
    return reads is None or set(parts) in [set(kind) for kind in reads]


def can_compare(encode: Encode, left: Collection[str], right: Collection[str]) -> bool:
    """Whether this encoder's vectors of inputs with the parts `left` may be compared with those of inputs with `right`."""
    shared = set(left) & set(right)
    return can_read(encode, left) and can_read(encode, right) and (bool(shared) or getattr(encode, "cross_modal", True))


def encode_table(
    encode: Encode,
    table: pl.DataFrame,
    name: str,
    advance: Callable[[int], None] = lambda done: None,
    chunk: int = 1024,
) -> np.ndarray:
    """Vectors (N, d) float32 of the rows of `table` (text and/or image, nulls are missing parts).

    They lie on disk in an unnamed temporary file; `chunk` of them are in memory at a time and `advance` is told how
    many were done. Raises `UserError` naming the encoder when a vector is not finite or longer than 1, and when the shape is not
    (N, d).
    """
    vectors: np.ndarray | None = None
    for start in range(0, len(table), chunk):
        rows = table.slice(start, chunk).iter_rows(named=True)
        inputs = [{key: value for key, value in row.items() if value is not None} for row in rows]
        found = _as_array(encode(inputs), name)
        if found.ndim != 2 or len(found) != len(inputs):
            raise UserError(f"encoder {name!r}: expected vectors of shape ({len(inputs)}, d), got {found.shape}.")
        if not np.isfinite(found).all():
            raise UserError(f"encoder {name!r}: vectors hold NaN or infinity; training or export broke it.")
        if (longest := float(np.linalg.norm(found, axis=1).max(initial=0))) > LONGEST:
            raise UserError(f"encoder {name!r}: a vector has length {longest:.3g}; they are ranked by their products: "
                            "make all of length 1 (in sentence-transformers: encode(…, normalize_embeddings=True)).")  # fmt: skip
        if vectors is None:
            vectors = _on_disk((len(table), found.shape[1]))
        vectors[start : start + len(inputs)] = found
        advance(len(inputs))
    if vectors is None:
        raise ValueError("nothing to encode")
    return vectors


def _as_array(found: object, name: str) -> np.ndarray:
    """What an encoder gives as float32: an array, a tensor of any kind, or a list of either."""
    try:
        if isinstance(found, (list, tuple)) and found and isinstance(found[0], torch.Tensor):
            found = torch.stack(list(found))
        if isinstance(found, torch.Tensor):
            found = found.detach().float().cpu().numpy()
        return np.asarray(found, np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"encoder {name!r}: what it gives is no table of numbers ({reason}); expected (N, d).") from error


def _on_disk(shape: tuple[int, int]) -> np.ndarray:
    with tempfile.TemporaryFile(prefix="openmoon-vectors-") as file:  # the mapping keeps the file alive
        return np.memmap(file, np.float32, "w+", shape=shape)
