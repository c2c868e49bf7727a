"""How good predicted probabilities are: AUC, GAUC, LogLoss, PCOC, calibration. Everything is a few sorts, no loop over rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_DRAWN = 1 << 24  # numbers that the bootstrap draws at once
_SMALLEST = 1e-7  # probabilities are kept so far from 0 and 1 in the LogLoss


@dataclass(frozen=True)
class GroupAucs:
    """AUC of each group that has both classes (`auc`, NaN for others), and how many rows each group has."""

    auc: np.ndarray
    rows: np.ndarray

    def mean(self) -> float | None:
        """GAUC: groups with both classes, weighted by their rows; None when there is none."""
        defined = ~np.isnan(self.auc)
        return float(np.average(self.auc[defined], weights=self.rows[defined])) if defined.any() else None


def auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Probability that a chosen row scores above one that was not, ties count half; None when there is one class only."""
    found = group_aucs(labels, scores, np.zeros(len(labels), np.int64), 1).auc[0]
    return None if np.isnan(found) else float(found)


def group_aucs(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray, count: int) -> GroupAucs:
    """AUC within each of `count` groups; `groups` (n,) are their numbers."""
    order = np.lexsort((scores, groups))
    labels, scores, groups = labels[order].astype(bool), scores[order], groups[order]
    rows = np.bincount(groups, minlength=count)
    chosen = np.bincount(groups, weights=labels, minlength=count)
    first = np.concatenate([[0], np.cumsum(rows)[:-1]])
    place = np.arange(len(scores)) - first[groups]
    new = np.ones(len(scores), bool)
    new[1:] = (scores[1:] != scores[:-1]) | (groups[1:] != groups[:-1])
    tie = np.cumsum(new) - 1
    rank = (np.bincount(tie, weights=place) / np.bincount(tie))[tie] if len(scores) else place  # mean rank among equals
    above = np.bincount(groups, weights=rank * labels, minlength=count) - chosen * (chosen - 1) / 2
    pairs = chosen * (rows - chosen)
    with np.errstate(invalid="ignore", divide="ignore"):
        return GroupAucs(np.where(pairs > 0, above / pairs, np.nan), rows)


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Mean negative log-likelihood in nats; None without rows."""
    if not len(labels):
        return None
    p = np.clip(probabilities.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    return float(-np.mean(np.where(labels > 0, np.log(p), np.log1p(-p))))


def pcoc(labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Predicted over observed choices, 1 is calibrated; None where nothing was chosen."""
    chosen = float(labels.sum())
    return float(probabilities.sum(dtype=np.float64)) / chosen if chosen else None


@dataclass(frozen=True)
class Calibration:
    """Rows in bins of equal size by probability: mean prediction, share chosen, rows."""

    predicted: list[float]
    observed: list[float]
    rows: list[int]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of the two, weighted by rows."""
        gap = np.abs(np.array(self.predicted) - np.array(self.observed))
        return float(np.average(gap, weights=self.rows))


def calibration(labels: np.ndarray, probabilities: np.ndarray, bins: int = 20) -> Calibration | None:
    """The calibration curve; None without rows."""
    if not len(labels):
        return None
    order = np.argsort(probabilities, kind="stable")
    parts = list(np.array_split(order, min(bins, len(order))))
    return Calibration([float(probabilities[part].mean()) for part in parts], [float(labels[part].mean()) for part in parts],
                       [len(part) for part in parts])  # fmt: skip


def interval(
    groups: GroupAucs, other: GroupAucs | None = None, draws: int = 1000, seed: int = 0
) -> tuple[float, float] | None:
    """95% bootstrap interval over the groups (shoppers) of GAUC, or of its gain over `other` on the same groups."""
    value = groups.auc - other.auc if other is not None else groups.auc
    defined = ~np.isnan(value)
    if defined.sum() < 2:
        return None
    value, rows = value[defined], groups.rows[defined].astype(float)
    random, means = np.random.default_rng(seed), []
    for part in np.array_split(np.arange(draws), -(-draws * len(value) // _DRAWN)):
        times = random.multinomial(len(value), np.full(len(value), 1 / len(value)), size=len(part)) * rows
        means.append((times @ value) / times.sum(1))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)
