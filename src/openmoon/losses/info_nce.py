"""InfoNCE: of all items, a query is to pick its own (MOON post-training, stage 2a)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from openmoon.losses.positives import own_columns, spare


def info_nce(
    queries: Tensor,
    items: Tensor,
    temperature: Tensor | float,
    *,
    positive: Tensor | None = None,
    ignore: Tensor | None = None,
    log_q: Tensor | None = None,
    second: Tensor | None = None,
    share: Tensor | None = None,
) -> Tensor:
    """`−log(e^{s(q_i,p_i)/τ} / Σ_j e^{s(q_i,p_j)/τ})` of each query, (B,).

    Inputs: unit vectors `queries` (B, D) and `items` (N, D), N ≥ B; `positive` (B,) int64, the column of each query's own
    item (default: i for query i); `ignore` (B, N) bool, pairs that are no negatives (`masks`), without effect on positives.
    `log_q` (N,) is subtracted from the logits: the logarithm of how often an item is met as a negative, so that popular
    ones are not pushed away for being popular (sampled-softmax correction). A query that blends two pictures has a
    `second` positive column (B,) and finds the first by `share` (B,) in 0..1, the second by the rest.
    """
    positive = own_columns(queries) if positive is None else positive
    logits = queries @ items.T / temperature
    if log_q is not None:
        logits = logits - log_q
    if ignore is not None:
        logits = logits.masked_fill(spare(ignore, positive, second), float("-inf"))
    loss = F.cross_entropy(logits, positive, reduction="none")
    if second is None or share is None:
        return loss
    return share * loss + (1 - share) * F.cross_entropy(logits, second, reduction="none")
