"""Triplet loss: what was bought is nearer to the query than what was clicked and left."""

from __future__ import annotations

from torch import Tensor


def triplet(queries: Tensor, positives: Tensor, negatives: Tensor, margin: float = 0.1) -> Tensor:
    """`[m − s(q, p) + s(q, n)]₊` of each triplet of unit vectors, all (B, D); (B,). `margin` m in 0..2."""
    return (margin - (queries * positives).sum(1) + (queries * negatives).sum(1)).clamp(min=0)
