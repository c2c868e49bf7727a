"""Semantic ids: codes of products by residual k-means on their vectors (faiss), and how well they serve as ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openmoon.errors import UserError

_ROUNDS = 25


@dataclass(frozen=True)
class Codebooks:
    """`centroids` (levels, codes, D) float32: a vector is near the sum of one centroid of each level."""

    centroids: np.ndarray

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """(n, D) vectors → (n, levels) int64 codes, level by level the centroid nearest to what is left."""
        left, codes = vectors.astype(np.float32), []
        for centroids in self.centroids:
            distance = (centroids**2).sum(1) - 2 * left @ centroids.T
            codes.append(distance.argmin(1))
            left = left - centroids[codes[-1]]
        return np.stack(codes, 1)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """(n, levels) codes → (n, D), the sum of their centroids."""
        return np.sum([centroids[codes[:, level]] for level, centroids in enumerate(self.centroids)], axis=0)


@dataclass(frozen=True)
class CodeQuality:
    """`collisions`: share of products whose codes another product has too; `used`: share of each level's codes in use;
    `prefix_cosine[n]`: mean cosine of two different products that share exactly their first n codes, None without such pairs."""

    collisions: float
    used: list[float]
    prefix_cosine: list[float | None]


def residual_kmeans(vectors: np.ndarray, levels: int, codes: int, seed: int = 0) -> Codebooks:
    """Codebooks for vectors (n, D). Raises `UserError` for fewer vectors than codes."""
    import faiss

    if len(vectors) < codes:
        raise UserError(
            f"ctr.semantic_ids.codes: {codes} codes from {len(vectors)} products with vectors; choose fewer codes."
        )
    left, found = np.ascontiguousarray(vectors, np.float32), []
    for level in range(levels):
        kmeans = faiss.Kmeans(left.shape[1], codes, niter=_ROUNDS, seed=seed + level, min_points_per_centroid=1)
        kmeans.train(left)
        centroids = np.array(kmeans.centroids)
        found.append(centroids)
        left = left - centroids[kmeans.index.search(left, 1)[1][:, 0]]
    return Codebooks(np.stack(found))


def code_quality(vectors: np.ndarray, codes: np.ndarray, size: int, pairs: int = 200_000, seed: int = 0) -> CodeQuality:
    """Measure codes (n, levels) of unit vectors (n, D). Pairs for the prefix curve are drawn among the products that share the
    prefix, `pairs` at most for each length."""
    count, levels = codes.shape
    _, owner, sharing = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    collisions = float((sharing[owner.reshape(-1)] > 1).mean())
    used = [len(np.unique(codes[:, level])) / size for level in range(levels)]
    random, curve = np.random.default_rng(seed), list[float | None]()
    for shared in range(levels + 1):
        _, group = (
            np.unique(codes[:, :shared], axis=0, return_inverse=True) if shared else (None, np.zeros(count, np.int64))
        )
        a, b = _pairs(group.reshape(-1), pairs, random)
        if shared < levels and len(a):
            differ = codes[a, shared] != codes[b, shared]
            a, b = a[differ], b[differ]
        curve.append(float(np.einsum("nd,nd->n", vectors[a], vectors[b]).mean()) if len(a) else None)
    return CodeQuality(collisions, used, curve)


def _pairs(group: np.ndarray, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of different members of one group, (m,) and (m,)."""
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    a = random.permutation(np.flatnonzero(sizes[group] > 1))
    a = np.resize(a, count) if len(a) else a
    place = np.argsort(order, kind="stable")[a] - first[group[a]]  # of a within its group
    other = (place + 1 + (random.random(len(a)) * (sizes[group[a]] - 1)).astype(np.int64)) % np.maximum(
        sizes[group[a]], 1
    )
    return a, order[first[group[a]] + other]
