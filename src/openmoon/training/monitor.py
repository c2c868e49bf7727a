"""Is the embedding space alive? Mean pairwise cosine and effective rank of a batch of vectors, and a stop when it dies."""

from __future__ import annotations

import torch
from torch import Tensor

from openmoon.errors import UserError

COLLAPSED_COSINE = 0.99
COLLAPSED_RANK = 1.5


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


def check_alive(statistics: dict[str, float], stage: str, step: int) -> None:
    """Raise `UserError` when all vectors have become one."""
    if statistics["mean_cosine"] > COLLAPSED_COSINE or statistics["effective_rank"] < COLLAPSED_RANK:
        raise UserError(f"{stage}, step {step}: the vectors collapsed (mean cosine {statistics['mean_cosine']:.3f}, effective "
                        f"rank {statistics['effective_rank']:.1f}); lower {stage}.lr or raise {stage}.temperature.")  # fmt: skip
