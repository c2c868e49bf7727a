"""Retrieval metrics from counts: how many items beat the relevant one, and how many tie with it.

Ties are common (the same picture sold as two products, BM25 scores of zero, a collapsed encoder) and breaking them by
row order would reward whatever order the catalogue has. So every metric is its exact expectation over a random order
of the tied items: the rank is uniform on g+1 … g+t+1. Chance level is the special case "everything ties".
"""

from __future__ import annotations

import numpy as np

METRICS = {
    "recall@1": "R@1",
    "recall@5": "R@5",
    "recall@10": "R@10",
    "mrr": "MRR",
    "ndcg@10": "nDCG@10",
    "median_rank": "median rank",
}  # key in results: name in tables


def expected_metrics(better: np.ndarray, ties: np.ndarray) -> dict[str, float]:
    """Mean metrics over evaluation instances with one relevant item each.

    Args:
        better: (P,) integers, items scored above the relevant item (g).
        ties: (P,) integers, other items scored equal to it (t).

    Returns:
        The keys of `METRICS`: recall@k, mrr and ndcg@10 in 0…1 (higher is better) and the median over instances of the
        mid-rank g + 1 + t/2 (1 is best). With one relevant item nDCG@10 is 1/log2(1 + rank) up to rank 10.

    Raises:
        ValueError: no instance, or counts of different length.
    """
    better, ties = np.asarray(better, np.int64), np.asarray(ties, np.int64)
    if better.shape != ties.shape or better.ndim != 1 or not len(better):
        raise ValueError(f"expected two equally long, non-empty vectors of counts, got {better.shape} and {ties.shape}")
    ranks = np.arange(1, int((better + ties).max()) + 2)
    gains = {
        **{f"recall@{k}": (ranks <= k).astype(float) for k in (1, 5, 10)},
        "mrr": 1 / ranks,
        "ndcg@10": (ranks <= 10) / np.log2(1 + ranks),
    }
    means = {name: float(_mean_over_ties(gain, better, ties).mean()) for name, gain in gains.items()}
    return means | {"median_rank": float(np.median(better + 1 + ties / 2))}


def _mean_over_ties(gain: np.ndarray, better: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """E[gain(rank)] for rank uniform on better+1 … better+ties+1, by prefix sums; `gain[r - 1]` belongs to rank r."""
    prefix = np.concatenate([[0.0], np.cumsum(gain)])
    return (prefix[better + ties + 1] - prefix[better]) / (ties + 1)


def chance_metrics(candidates: np.ndarray) -> dict[str, float]:
    """Exact metrics of a random order; `candidates` (P,) counts the items each instance ranks, its own included."""
    candidates = np.asarray(candidates, np.int64)
    return expected_metrics(np.zeros_like(candidates), candidates - 1)
