"""What a model knows of a shopper's interest: blocks that turn a scene into parts of the tower's input."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class Parts(NamedTuple):
    """What a block adds to the tower's input: per request (R, w) and per candidate (R, K, w)."""

    request: list[torch.Tensor]
    candidate: list[torch.Tensor]


class Interest(nn.Module):
    """A block: called with a `Scene` it gives `Parts`, whose widths together are `request_width` and `candidate_width`."""

    request_width = 0
    candidate_width = 0

    def place(self, row: int, vector: torch.Tensor) -> None:
        """A query that was not known when the model was built takes an entity's `row`; blocks that keep something of every entity
        make it of its vector (D,), zeros where it has none."""
