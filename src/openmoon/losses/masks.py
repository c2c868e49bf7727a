"""Which pairs are no negatives, and how likely an item is met as one.

Identity is decided by the input, never by equal vectors: dropout breaks that.
"""

from __future__ import annotations

import torch
from torch import Tensor


def same_identity(rows: Tensor, columns: Tensor) -> Tensor:
    """(B, N) bool, true where row i and column j share any of K identities; `rows` (K, B) and `columns` (K, N) int64.

    Two items of one SPU are positives of each other's query, and two items chosen for one query are both its positives; as
    negatives they would be false.
    """
    return (rows[:, :, None] == columns[:, None, :]).any(0)


def too_similar(scores: Tensor, positive: Tensor, margin: float) -> Tensor:
    """(B, N) bool: columns whose score exceeds that of the row's own item, `positive` (B,), by more than `margin`; such a
    "negative" is more likely an unlabelled positive (Qwen3-VL-Embedding uses 0.1)."""
    scores = scores.detach()
    return scores > scores.gather(1, positive[:, None]) + margin


def log_frequency(items: Tensor, count: int) -> Tensor:
    """(count,) float32 logarithm of the share of training pairs that hold each item; `items` (P,) int64 are the pairs'.
    Items that no pair holds get the share of half a pair."""
    met = torch.bincount(items, minlength=count).float().clamp(min=0.5)
    return (met / met.sum()).log()
