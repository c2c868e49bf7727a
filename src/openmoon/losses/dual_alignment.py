"""Dual-level alignment: how routing and objectives meet (MOON2.0; the exact form is reconstructed, docs/methods.md).

A learnable matrix W* (experts × objectives) says which objectives an expert serves. An objective counts by how much the
experts that its inputs were routed to serve it. Learnt freely, such weights fall for the hardest objective, since that
lowers the loss; therefore no gradient flows where a weight meets its loss, and a balance term keeps them apart from zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AlignmentMatrix(nn.Module):
    """W*, (experts, objectives), starting near zero: every expert serves every objective alike, but for what the sparsity term
    needs to tell them apart. `sharpness` of the softmax over it: what Adam's steps of 0.001 move in some hundred steps is to
    tell objectives apart [ours]."""

    def __init__(self, experts: int, objectives: int, sharpness: float = 30.0) -> None:
        super().__init__()
        self.sharpness = sharpness
        self.weight = nn.Parameter(0.1 / sharpness * torch.randn(experts, objectives))

    def forward(self) -> Tensor:
        """p (experts, objectives): each expert's shares, rows sum to 1."""
        return (self.sharpness * self.weight).softmax(1)


def objective_weights(usage: Tensor, served: Tensor) -> Tensor:
    """ω (M,), with Σω = M: `ω_m ∝ Σ_z usage_mz · served_zm`.

    `usage` (M, Z) is the mean gate of the tokens of objective m, rows sum to 1; `served` (Z, M) the matrix p. An
    objective that is absent from the batch has a row of zeros and weight 0; the others share M.
    """
    raw = (usage * served.T).sum(1)
    return len(raw) * raw / raw.sum().clamp(min=1e-12)


def weight_balance(weights: Tensor, present: Tensor) -> Tensor:
    """`−mean_m log ω_m` over the objectives that are `present` (M,) bool, less its minimum; a scalar, 0 where all count alike.
    A weight that goes to zero makes it large (at most 27.6 each, so that it stays finite)."""
    shared = weights[present] * present.sum() / len(weights)
    return -shared.clamp(min=1e-12).log().mean()


def sparsity(served: Tensor) -> Tensor:
    """`mean_z(−Σ_m p_zm log p_zm)`: low where each expert serves few objectives; a scalar."""
    return -(served * served.clamp(min=1e-12).log()).sum(1).mean()


def load_balance(probability: Tensor, load: Tensor) -> Tensor:
    """`Z Σ_z f_z P_z` (Fedus et al. 2022), averaged over layers; 1 where all experts are used alike.

    `probability` and `load`, both (B, L, Z): of each input and layer, the mean routing probability of the tokens and the
    share of the routed tokens that went to each expert.
    """
    used, wanted = load.detach().mean(0), probability.mean(0)
    return (used.shape[-1] * (used * wanted).sum(-1)).mean()
