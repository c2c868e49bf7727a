"""What is known to be right for the queries of a batch, and so is none of their negatives, wherever it comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from openmoon.data.lists import Lists


@dataclass(frozen=True)
class Known:
    """For query b of B the SPUs `spus[start[b] : start[b + 1]]`; `start` (B + 1,), both int64."""

    start: Tensor
    spus: Tensor

    @classmethod
    def of(cls, products: Lists, rows: np.ndarray, spus: np.ndarray) -> Known:
        """The SPUs of what `products` has for the pairs in `rows` (B,); `spus` is of all products."""
        values, owner = products.of(rows)
        start = np.searchsorted(owner, np.arange(len(rows) + 1))
        return cls(torch.from_numpy(start), torch.from_numpy(spus[values].astype(np.int64)))

    def to(self, device: torch.device) -> Known:
        """The same on another device."""
        return Known(self.start.to(device), self.spus.to(device))

    def among(self, rows: Tensor, candidates: Tensor) -> Tensor:
        """(Q, N) bool: which of the SPUs `candidates` (N,) are known to be right for the queries in `rows` (Q,)."""
        size = self.start[rows + 1] - self.start[rows]
        owner = torch.repeat_interleave(size)
        within = torch.arange(len(owner), device=rows.device) - (size.cumsum(0) - size)[owner]
        values = self.spus[self.start[rows][owner] + within]
        distinct, place = torch.unique(candidates, return_inverse=True)
        at = torch.searchsorted(distinct, values).clamp(max=len(distinct) - 1)
        met = distinct[at] == values
        right = torch.zeros(len(rows), len(distinct), dtype=torch.bool, device=rows.device)
        right[owner[met], at[met]] = True
        return right[:, place]
