"""The tower over all parts; what the candidates of a request share is multiplied once per request."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn


class Tower(nn.Module):
    """MLP with ReLU. Its first layer adds a product per request to one per candidate, which equals one over both."""

    def __init__(self, request: int, candidate: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.request = nn.Linear(request, hidden[0], bias=False)
        self.candidate = nn.Linear(candidate, hidden[0])
        layers: list[nn.Module] = []
        for width, following in pairwise(hidden):
            layers += [nn.Linear(width, following), nn.ReLU(), nn.Dropout(dropout)]
        self.body = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), *layers)
        self.output = nn.Linear(hidden[-1], 1)

    def forward(self, request: torch.Tensor, candidate: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(R, w), (R, K, w′) → logits (R, K) and the last hidden layer (R, K, hidden)."""
        last = self.body(self.request(request)[:, None] + self.candidate(candidate))
        return self.output(last).squeeze(-1), last
