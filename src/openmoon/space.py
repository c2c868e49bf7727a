"""How an embedding space is used: mean pairwise cosine and effective rank of its vectors."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def space_statistics(vectors: Tensor) -> dict[str, float]:
    """`mean_cosine` between different rows and `effective_rank` (Roy & Vetterli 2007: exp of the entropy of the
    normalised singular values, 1..min(B, D)) of unit vectors (B, D)."""
    n = len(vectors)
    mean_cosine = (vectors.sum(0).square().sum() - n) / max(n * (n - 1), 1)
    singular = torch.linalg.svdvals(vectors.double())
    share = singular / singular.sum()
    entropy = -(share * share.clamp(min=1e-12).log()).sum()
    return {"mean_cosine": float(mean_cosine), "effective_rank": float(entropy.exp())}
