"""Dynamic sample filtering (MOON2.0): pairs that look mislabelled to the encoder count for less, strictly at first.

`φ = σ(κ·((s(q, p) − s(q, n)) − Δ̄))`; Δ̄ decays over training. Reconstructed: s(q, n) is the mean score of the query's hardest
negatives (the papers have one negative in a triplet; the mean of all negatives is so far below any item that it
tells nothing apart: benchmarks/filtering.py); Δ̄ falls from 0.05 to 0 by half a cosine (from 0.2 nearly every pair is
weighed down at first, which cost what it was to gain); a pair below δ = 0.6 counts φ/δ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from openmoon.losses.positives import split_scores


@dataclass(frozen=True)
class SampleFilter:
    """κ, δ in 0..1, where Δ̄ starts, how many of the hardest negatives s(q, n) is the mean of, and whether the weights of what is
    compared at once are brought to a mean of 1 [ours]. φ carries no gradient."""

    kappa: float = 10.0
    delta: float = 0.6
    start: float = 0.05
    hardest: int = 5
    rescale: bool = False

    def confidence(self, scores: Tensor, positive: Tensor, ignore: Tensor, progress: float) -> Tensor:
        """φ of each query's pair, (B,). `scores` (B, N), the column of each one's own item (B,), which columns are no negatives
        (B, N), and the share of the training that is done."""
        own, negative = split_scores(scores.detach(), positive, ignore)
        best = scores.detach().masked_fill(~negative, -torch.inf).topk(min(self.hardest, scores.shape[1]), dim=1).values
        met = best.isfinite()
        hard = best.masked_fill(~met, 0).sum(1) / met.sum(1).clamp(min=1)
        threshold = self.start * 0.5 * (1 + math.cos(math.pi * progress))
        return torch.sigmoid(self.kappa * (own - hard - threshold))

    def weights(self, confidence: Tensor) -> Tensor:
        """Of one loss: 1 for pairs of confidence δ or more, less below, (B,); with `rescale` over their mean."""
        weights = (confidence / self.delta).clamp(max=1)
        return weights / weights.mean().clamp(min=1e-6) if self.rescale else weights
