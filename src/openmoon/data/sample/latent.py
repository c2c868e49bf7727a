"""The space in which similarity is true: a block of coordinates per trait, so that a query may name only some.

Coordinates are multiples of 1/64. Their products then sum without rounding in float32, in any order, so that the
simulated log does not depend on how many threads multiply the matrices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_GRID = 64


@dataclass(frozen=True)
class LatentSpace:
    """matrix: (products, dim) float32. blocks: trait → its columns. shares: trait → its part of a full match, in all 1.

    tastes: the traits that people have a taste for.
    """

    matrix: np.ndarray
    blocks: dict[str, slice]
    shares: dict[str, float]
    tastes: tuple[str, ...]

    def queries(self, products: np.ndarray, named: np.ndarray) -> np.ndarray:
        """Query vectors (n, dim): the products' own without the traits that are not named.

        products: (n,) rows of `matrix`. named: (n, traits) bool in the order of `blocks`. A query's product with
        `matrix`, divided by its `named_share`, is its match: 1 for everything that it names.
        """
        return self.matrix[products] * np.repeat(named, self.widths(), axis=1)

    def named_share(self, named: np.ndarray) -> np.ndarray:
        """How much of a full match the named traits make up, (n,) float32, at least 0.01."""
        return np.maximum(named @ np.array(list(self.shares.values()), dtype=np.float32), 0.01).astype(np.float32)

    def widths(self) -> np.ndarray:
        return np.array([b.stop - b.start for b in self.blocks.values()])


def latent_space(
    traits: Mapping[str, Sequence[str]], graded: Mapping[str, np.ndarray], shares: Mapping[str, float]
) -> LatentSpace:
    """Build the space from `traits` (a value per product, equal or not) and `graded` ones ((products, k), more or less
    alike). `shares` orders them all and gives their weights, which are scaled to sum to 1; the first is the category.
    """
    total = sum(shares.values())
    parts, blocks, start = [], {}, 0
    for name, share in shares.items():
        part = _unit(graded[name]) if name in graded else _one_hot(traits[name])
        parts.append(np.round(part * np.sqrt(share / total) * _GRID) / _GRID)
        blocks[name] = slice(start, start := start + part.shape[1])
    tastes = tuple(name for name in list(shares)[1:] if name in traits)
    matrix = np.concatenate(parts, axis=1).astype(np.float32)
    return LatentSpace(matrix, blocks, {name: share / total for name, share in shares.items()}, tastes)


def on_grid(values: np.ndarray) -> np.ndarray:
    """`values` rounded to the grid of the space."""
    return (np.round(values * _GRID) / _GRID).astype(np.float32)


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)


def _one_hot(values: Sequence[str]) -> np.ndarray:
    _, codes = np.unique(np.asarray(values), return_inverse=True)
    return np.eye(int(codes.max()) + 1, dtype=np.float32)[codes]
