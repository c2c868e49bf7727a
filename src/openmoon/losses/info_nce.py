"""InfoNCE with in-batch negatives (MOON post-training, stage 2a)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(
    queries: Tensor,
    items: Tensor,
    temperature: Tensor | float,
    ignore: Tensor | None = None,
    symmetric: bool = False,
    targets: Tensor | None = None,
) -> Tensor:
    """`−log(e^{s(q_i,p_i)/τ} / Σ_j e^{s(q_i,p_j)/τ})`, averaged over the batch.

    Inputs: unit vectors (B, D), row i of `items` being the positive of row i of `queries`; `ignore` (B, B) bool marks
    pairs that are no negatives (see `same_identity`); its diagonal has no effect. `symmetric` averages the loss of
    queries among items with that of items among queries, for views of equal standing (picture ↔ text). `targets` (B, B),
    rows that sum to 1, gives query i several positives, `ignore` having no effect on them: `−Σ_j t_ij log softmax_j`.
    """
    logits = queries @ items.T / temperature
    if targets is not None:
        if symmetric:
            raise ValueError("info_nce: targets are those of queries among items; they have no symmetric form")
        if ignore is not None:
            logits = logits.masked_fill(ignore & (targets == 0), float("-inf"))
        likely = F.log_softmax(logits, 1).masked_fill(targets == 0, 0.0)
        return -(targets * likely).sum(1).mean()
    if ignore is not None:
        diagonal = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(ignore & ~diagonal, float("-inf"))
    target = torch.arange(len(logits), device=logits.device)
    loss = F.cross_entropy(logits, target)
    return (loss + F.cross_entropy(logits.T, target)) / 2 if symmetric else loss
