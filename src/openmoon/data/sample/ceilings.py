"""The best that any method could reach on a simulated shop, because its truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openmoon.data.sample.latent import LatentSpace

CUTOFFS = (1, 5, 10)
_CHUNK = 512
_SAME = 1e-4  # products closer than this to a query are ties: below the grid's step


def oracle_recall(
    space: LatentSpace, product: np.ndarray, named: np.ndarray, texts: Sequence[str] | None = None
) -> dict[str, float]:
    """Expected Recall@k over the whole catalogue of a ranker that knows the true similarity of query and products.

    Ties are broken by lot. product: (n,) the labelled product of each query; named: (n, traits) what the query shows or
    says. With `texts`, the other products that are labelled for the same text are left out of the ranking.
    """
    if not len(product):
        return {}
    groups = _groups(texts) if texts is not None else None
    hits = np.zeros(len(CUTOFFS))
    for start in range(0, len(product), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(product)))
        score = space.queries(product[rows], named[rows]) @ space.matrix.T
        own = score[np.arange(len(rows)), product[rows]].copy()
        if groups is not None:
            for i, row in enumerate(rows.tolist()):
                score[i, product[groups[row]]] = -np.inf
        score[np.arange(len(rows)), product[rows]] = -np.inf
        better = (score > own[:, None] + _SAME).sum(axis=1)
        ties = (np.abs(score - own[:, None]) <= _SAME).sum(axis=1) + 1
        hits += [np.clip((k - better) / ties, 0, 1).sum() for k in CUTOFFS]
    return {f"R@{k}": round(float(h) / len(product), 4) for k, h in zip(CUTOFFS, hits, strict=True)}


def auc(score: np.ndarray, label: np.ndarray) -> float | None:
    """Area under the ROC curve, ties counted half; None without both labels."""
    label = np.asarray(label, dtype=bool)
    positives, negatives = int(label.sum()), int((~label).sum())
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2
    return round(float((rank[inverse][label].sum() - positives * (positives + 1) / 2) / (positives * negatives)), 4)


def _groups(texts: Sequence[str]) -> list[np.ndarray]:
    """For each text the rows that hold the same text."""
    _, inverse = np.unique(np.asarray(texts), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.searchsorted(inverse[order], np.arange(inverse.max() + 2))
    return [order[starts[g] : starts[g + 1]] for g in inverse.tolist()]
