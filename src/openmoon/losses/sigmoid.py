"""The sigmoid loss (SigLIP, Zhai et al. 2023): every pair is a yes or no of its own, without a softmax over the batch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from openmoon.losses.positives import own_columns, split_scores


def sigmoid(
    queries: Tensor,
    items: Tensor,
    temperature: Tensor | float,
    *,
    positive: Tensor | None = None,
    ignore: Tensor | None = None,
) -> Tensor:
    """`−log σ(s_p/τ + b) − Σ_j log σ(−(s_n/τ + b))` of each query, (B,).

    Inputs as in `info_nce`. The bias is `b = −log(N − 1)`, at which one positive among N items balances (SigLIP learns it
    from −10 with batches of 32k, which is −log N; fixing it is ours).
    """
    scores = queries @ items.T
    own, negative = split_scores(scores, own_columns(queries) if positive is None else positive, ignore)
    bias = -math.log(max(1, items.shape[0] - 1))
    against = F.softplus(scores / temperature + bias).masked_fill(~negative, 0.0)
    return F.softplus(-(own / temperature + bias)) + torch.sum(against, 1)
