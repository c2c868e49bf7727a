"""Circle loss (Sun et al. 2020), the objective of MOON's second fine-tune: each similarity is weighed by how far it is off."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from openmoon.losses.positives import own_columns, split_scores


def circle(
    queries: Tensor,
    items: Tensor,
    *,
    gamma: float = 32.0,
    margin: float = 0.25,
    positive: Tensor | None = None,
    ignore: Tensor | None = None,
) -> Tensor:
    """`log[1 + Σ_j e^{γ α_n (s_n − m)} · e^{−γ α_p (s_p − (1 − m))}]` of each query, (B,), with `α_p = [1 + m − s_p]₊` and
    `α_n = [s_n + m]₊`, which carry no gradient.

    Inputs as in `info_nce`. `gamma` > 0 is the scale (MOON's values are not known; 32–64 reconstructed), `margin` m in 0..1:
    positives are drawn to 1 − m, negatives to m. No temperature.
    """
    scores = queries @ items.T
    own, negative = split_scores(scores, own_columns(queries) if positive is None else positive, ignore)
    pull = -gamma * (1 + margin - own.detach()).clamp(min=0) * (own - (1 - margin))
    push = gamma * (scores.detach() + margin).clamp(min=0) * (scores - margin)
    return F.softplus(pull + torch.logsumexp(push.masked_fill(~negative, float("-inf")), 1))
