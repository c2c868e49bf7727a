"""How an embedding space is used: mean pairwise cosine, effective rank and uniformity of its vectors."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 1024  # compared with all others at a time: memory grows with their number, not with its square


@torch.no_grad()
def space_statistics(vectors: Tensor) -> dict[str, float]:
    """Of unit vectors (B, D), B > 1: `mean_cosine` between different rows; `effective_rank`; `uniformity` (Wang & Isola 2020: log
    of the mean of exp(−2‖x−y‖²) over different rows, −8 to 0, the lower the more evenly they are spread)."""
    n = len(vectors)
    others = max(n * (n - 1), 1)
    near = torch.stack([(4 * (some @ vectors.T) - 4).exp().sum(dtype=torch.float64) for some in vectors.split(ROWS)]).sum() - n
    return {
        "mean_cosine": float((vectors.sum(0).square().sum() - n) / others),
        "effective_rank": effective_rank(vectors),
        "uniformity": float((near / others).log()),
    }


@torch.no_grad()
def effective_rank(vectors: Tensor) -> float:
    """Of unit vectors (B, D), 1..min(B, D) (Roy & Vetterli 2007: exp of the entropy of the normalised singular values: the roots
    of the eigenvalues of XᵀX or XXᵀ)."""
    if len(vectors) < vectors.shape[1]:
        gram = vectors.double() @ vectors.double().T
    else:
        gram = vectors.new_zeros(vectors.shape[1], vectors.shape[1], dtype=torch.float64)
        for some in vectors.split(ROWS):
            gram += some.double().T @ some.double()
    singular = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    share = singular / singular.sum()
    return float((-(share * share.clamp(min=1e-12).log()).sum()).exp())
