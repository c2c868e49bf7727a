"""The learnable temperature τ of contrastive losses."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FLOOR = 0.01  # below it one wrong negative decides the whole gradient


class Temperature(nn.Module):
    """τ as a positive scalar, learnt in log space, never below `FLOOR`, from where it may rise again (reconstructed: MOON reports
    no schedule)."""

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.log_value = nn.Parameter(torch.tensor(math.log(initial)))

    def forward(self) -> Tensor:
        value = self.log_value.exp()
        return value + (value.clamp(min=FLOOR) - value).detach()
