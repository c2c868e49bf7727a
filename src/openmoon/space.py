"""How an embedding space is used: mean pairwise cosine, effective rank and uniformity of its vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor


@torch.no_grad()
def space_statistics(vectors: Tensor) -> dict[str, float]:
    """Of unit vectors (B, D), B > 1: `mean_cosine` between different rows; `effective_rank` (Roy & Vetterli 2007: exp of the
    entropy of the normalised singular values, 1..min(B, D)); `uniformity` (Wang & Isola 2020: log of the mean of exp(−2‖x−y‖²)
    over different rows, −8 to 0, the lower the more evenly they are spread)."""
    n = len(vectors)
    mean_cosine = (vectors.sum(0).square().sum() - n) / max(n * (n - 1), 1)
    singular = torch.linalg.svdvals(vectors.double())
    share = singular / singular.sum()
    entropy = -(share * share.clamp(min=1e-12).log()).sum()
    nearness = (4 * (vectors.double() @ vectors.double().T) - 4).fill_diagonal_(-torch.inf).logsumexp((0, 1))
    return {
        "mean_cosine": float(mean_cosine),
        "effective_rank": float(entropy.exp()),
        "uniformity": float(nearness - math.log(max(n * (n - 1), 1))),
    }
