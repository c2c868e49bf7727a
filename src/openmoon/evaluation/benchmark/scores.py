"""Classification metrics from labels: accuracy, and precision, recall and F1 averaged over classes."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

MAJORITY = "majority"  # the baseline that always answers the commonest class
SCORES = {"accuracy": "accuracy", "precision": "macro precision", "recall": "macro recall", "f1": "macro F1"}


class Scores(BaseModel):
    """Each in 0…1, higher is better."""

    model_config = ConfigDict(extra="forbid")

    accuracy: float
    precision: float
    recall: float
    f1: float


def class_scores(truth: np.ndarray, predicted: np.ndarray) -> Scores:
    """Scores of predicted against true class numbers, (N,) integers each.

    The macro averages are over the classes that occur in `truth`; the precision of a class that is never predicted is 0.
    """
    if truth.shape != predicted.shape or truth.ndim != 1 or not len(truth):
        raise ValueError(f"expected two equally long, non-empty vectors of classes, got {truth.shape}, {predicted.shape}")
    size = int(max(truth.max(), predicted.max())) + 1
    right = np.bincount(truth[truth == predicted], minlength=size)
    wanted, given = np.bincount(truth, minlength=size), np.bincount(predicted, minlength=size)
    occurs = wanted > 0
    return Scores(
        accuracy=float(right.sum() / len(truth)),
        precision=float((right / np.maximum(given, 1))[occurs].mean()),
        recall=float((right[occurs] / wanted[occurs]).mean()),
        f1=float((2 * right / np.maximum(wanted + given, 1))[occurs].mean()),
    )


def majority_scores(teaches: np.ndarray, truth: np.ndarray) -> Scores:
    """Scores of always answering the commonest class of `teaches` (of equally common ones the first)."""
    return class_scores(truth, np.full_like(truth, np.bincount(teaches).argmax()))
