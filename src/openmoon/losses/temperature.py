"""The temperature τ of contrastive losses."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FLOOR = 0.01  # below it one wrong negative decides the whole gradient


class Temperature(nn.Module):
    """τ as a positive scalar, learnt in log space, never below `FLOOR`, from where it may rise again (reconstructed: MOON reports
    no schedule). With `learnt=False` it stays where it starts."""

    log_value: Tensor

    def __init__(self, initial: float, learnt: bool = True) -> None:
        super().__init__()
        start = torch.tensor(math.log(initial))
        if learnt:
            self.log_value = nn.Parameter(start)
        else:
            self.register_buffer("log_value", start)

    def forward(self) -> Tensor:
        value = self.log_value.exp()
        return value + (value.clamp(min=FLOOR) - value).detach()
