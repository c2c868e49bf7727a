"""Popularity leakage: how much of a product's impressions its vector gives away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FOLDS = 5
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


def popularity_leakage(vectors: np.ndarray, impressions: np.ndarray, seed: int = 0) -> float | None:
    """R² of a ridge regression from vectors (n, D) to log-impressions (n,) on held-out products, five folds.

    Products without impressions are left out; None for fewer than 50, and where all have as many impressions. The penalty is
    chosen within each training fold.
    """
    shown = impressions > 0
    x, y = vectors[shown].astype(np.float64), np.log(impressions[shown])
    if len(y) < 50 or not np.ptp(y):
        return None
    fold = np.random.default_rng(seed).permutation(len(y)) % FOLDS
    predicted = np.zeros(len(y))
    for held_out in range(FOLDS):
        train = fold != held_out
        inner = train & (fold != (held_out + 1) % FOLDS)
        validation = train & ~inner
        errors = [np.square(_ridge(x[inner], y[inner], p)(x[validation]) - y[validation]).mean() for p in PENALTIES]
        best = PENALTIES[int(np.argmin(errors))]
        predicted[~train] = _ridge(x[train], y[train], best)(x[~train])
    return float(1 - np.square(y - predicted).sum() / np.square(y - y.mean()).sum())


def _ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> Callable[[np.ndarray], np.ndarray]:
    centre, level = x.mean(0), y.mean()
    gram = (x - centre).T @ (x - centre) / len(y)
    scale = np.trace(gram) / len(gram) + 1e-12
    weights = np.linalg.solve(gram + penalty * scale * np.eye(len(gram)), (x - centre).T @ (y - level) / len(y))
    return lambda rows: (rows - centre) @ weights + level
