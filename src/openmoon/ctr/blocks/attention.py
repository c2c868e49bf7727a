"""Attention of candidates to behaviours."""

from __future__ import annotations

import torch
from torch import nn

from openmoon.ctr.blocks.activation_unit import ActivationUnit


class LocalActivation(nn.Module):
    """DIN's attention: scores of the activation unit weigh the behaviours, without softmax (Zhou et al. 2018).

    (R, L, d) behaviours, (R, K, d) candidates, mask (R, L) → (R, K, d).
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.unit = ActivationUnit(dim, hidden)

    def forward(self, behaviours: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Behaviours weighed and added up for each candidate."""
        return (self.unit(behaviours, target) * mask[:, None]) @ behaviours


def weigh(logits: torch.Tensor, mask: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Softmax over behaviours: logits (R, K, L), mask (R, L) or (R, K, L), values (R, L, d) → (R, K, d); zeros without any. Or
    with behaviours of every candidate's own: logits and mask (R, K, S), values (R, K, S, d)."""
    there = mask if mask.ndim == 3 else mask[:, None]
    shares = torch.softmax(logits.masked_fill(~there, -1e9), -1) * there
    return shares @ values if values.ndim == 3 else (shares[:, :, None] @ values).squeeze(2)


class ChosenActivation(nn.Module):
    """`LocalActivation` where every candidate has behaviours of its own: (R, K, S, d), (R, K, d), mask (R, K, S) → (R, K, d)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.local = LocalActivation(dim, hidden)

    def forward(self, behaviours: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Behaviours weighed and added up for each candidate."""
        rows, candidates = target.shape[:2]
        found = self.local(behaviours.flatten(0, 1), target.reshape(rows * candidates, 1, -1), mask.flatten(0, 1))
        return found.view(rows, candidates, -1)
