"""What is known to be right for the queries of a batch, and so is none of their negatives, wherever it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from openmoon.data.lists import Lists


@dataclass(frozen=True)
class Known:
    """For query b of B the SPUs of the lists `which[b]`, (B, n); those of list k are `spus[start[k] : start[k + 1]]`. All int64.
    Queries that ask the same share a list, which may be long."""

    start: Tensor
    spus: Tensor
    which: Tensor

    @classmethod
    def of(cls, products: Sequence[Lists], rows: np.ndarray, spus: np.ndarray) -> Known:
        """The SPUs of all that `products` have for the pairs in `rows` (B,); `spus` is of all products."""
        sizes, found, which = [np.zeros(1, np.int64)], [np.empty(0, np.int64)], [np.empty((len(rows), 0), np.int64)]
        for one in products:
            distinct, place = np.unique(one.place(rows), return_inverse=True)
            which.append(place[:, None] + sum(map(len, sizes)) - 1)
            sizes.append(one.each.sizes(distinct))
            found.append(spus[one.each.of(distinct)[0]])
        parts = np.concatenate(sizes).cumsum(), np.concatenate(found).astype(np.int64), np.concatenate(which, 1)
        return cls(*(torch.from_numpy(part) for part in parts))

    @classmethod
    def merged(cls, parts: Sequence[tuple[np.ndarray, Known]], count: int) -> Known:
        """Of `count` queries, each of which is in one part: its place among them, and what is known of it, in as many lists in
        all parts."""
        width = parts[0][1].which.shape[1]
        starts, which, lists, spus = [torch.zeros(1, dtype=torch.int64)], torch.zeros((count, width), dtype=torch.int64), 0, 0
        for here, known in parts:
            which[torch.from_numpy(here)] = known.which + lists
            starts.append(known.start[1:] + spus)
            lists, spus = lists + len(known.start) - 1, spus + len(known.spus)
        return cls(torch.cat(starts), torch.cat([known.spus for _, known in parts]), which)

    def to(self, device: torch.device) -> Known:
        """The same on another device."""
        return Known(self.start.to(device), self.spus.to(device), self.which.to(device))

    def among(self, rows: Tensor, candidates: Tensor) -> Tensor:
        """(Q, N) bool: which of the SPUs `candidates` (N,) are known to be right for the queries in `rows` (Q,)."""
        lists, asked = torch.unique(self.which[rows], return_inverse=True)
        size = self.start[lists + 1] - self.start[lists]
        owner = torch.repeat_interleave(size)
        within = torch.arange(len(owner), device=rows.device) - (size.cumsum(0) - size)[owner]
        values = self.spus[self.start[lists][owner] + within]
        distinct, place = torch.unique(candidates, return_inverse=True)
        at = torch.searchsorted(distinct, values).clamp(max=len(distinct) - 1)
        met = distinct[at] == values
        right = torch.zeros(len(lists), len(distinct), dtype=torch.bool, device=rows.device)
        right[owner[met], at[met]] = True
        return right[asked].any(1)[:, place]
