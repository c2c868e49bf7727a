"""Vectors of given products out of a vectors table, ours or anyone's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from openmoon.errors import UserError
from openmoon.serving.vectors import iter_vectors


class VectorLookup:
    """Product ids → (N, d) float32, from a table with product_id and vector. Rows that are not asked for are not kept.

    Raises `UserError` for a table that cannot be read, lacks one of the products, has one twice, or holds NaN or infinity.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        next(iter_vectors(path, rows=1), None)  # a table that cannot be read is said at once

    def __call__(self, product_ids: Sequence[str]) -> np.ndarray:
        wanted = list(dict.fromkeys(product_ids))
        rows = {name: row for row, name in enumerate(wanted)}
        vectors: np.ndarray | None = None
        found = np.zeros(len(rows), bool)
        for ids, chunk in iter_vectors(self.path):
            if vectors is None:
                vectors = np.empty((len(rows), chunk.shape[1]), np.float32)
            here = [(rows[name], place) for place, name in enumerate(ids) if name in rows]
            if here:
                to, of = np.array(here).T
                if found[to].any() or len(np.unique(to)) < len(to):
                    twice = wanted[int(to[found[to]][0] if found[to].any() else np.flatnonzero(np.bincount(to) > 1)[0])]
                    raise UserError(f"{self.path}: has several vectors of product {twice!r}; keep one.")
                vectors[to], found[to] = chunk[of], True
        if vectors is None:
            raise UserError(f"{self.path}: holds no vector.")
        if not found.all():
            missing = wanted[int(np.flatnonzero(~found)[0])]
            raise UserError(
                f"{self.path}: has no vector of {(~found).sum():,} of the {len(rows):,} products that are measured, such as "
                f"{missing!r}; all systems are measured on the same products, embed these too."
            )
        if not np.isfinite(vectors).all():
            raise UserError(f"{self.path}: vectors hold NaN or infinity; what made them broke them.")
        return vectors if len(wanted) == len(product_ids) else vectors[[rows[name] for name in product_ids]]
