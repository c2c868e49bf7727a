"""The currency between trunks and fusion: padded tokens of one modality."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ALIKE = 16  # tokens: texts that differ by less are padded to one length


@dataclass(frozen=True)
class Tokens:
    """`values` (B, T, D), float16 where they come from a cache, with `mask` (B, T), true where there is a token. A row without
    any lacks the modality."""

    values: Tensor
    mask: Tensor

    @classmethod
    def whole(cls, values: Tensor) -> Tokens:
        """(B, T, D), a token in every place."""
        return cls(values, values.new_ones(values.shape[:2], dtype=torch.bool))

    def spread(self, rows: list[int], batch: int) -> Tokens:
        """Place row i at `rows[i]` (ascending) of a batch of `batch` rows; the others get no tokens."""
        if len(rows) == batch:
            return self
        index = torch.tensor(rows, device=self.values.device)
        values = self.values.new_zeros(batch, *self.values.shape[1:])
        mask = self.mask.new_zeros(batch, self.mask.shape[1])
        return Tokens(values.index_copy(0, index, self.values), mask.index_copy(0, index, self.mask))

    def take(self, rows: Tensor) -> Tokens:
        """Some rows (n,), without the padding at the right that none of them needs."""
        mask = self.mask.index_select(0, rows)
        longest = max(1, int(mask.sum(1).max()))
        return Tokens(self.values.index_select(0, rows)[:, :longest], mask[:, :longest])

    def padded(self, length: int) -> Tokens:
        """With at least `length` places for tokens."""
        more = max(0, length - self.mask.shape[1])
        return Tokens(F.pad(self.values, (0, 0, 0, more)), F.pad(self.mask, (0, more)))


def by_length(lengths: Tensor) -> list[Tensor]:
    """Row numbers of `lengths` (B,), together where they are alike (1 to `ALIKE`, up to twice that …), short ones first."""
    group = (lengths - 1).clamp(min=0) // ALIKE
    return [(group == one).nonzero()[:, 0] for one in group.unique().tolist()]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of each row: (B, T, D), (B, T) → (B, D); zeros for a row without tokens."""
    weight = mask.to(values.dtype)
    return torch.einsum("btd,bt->bd", values, weight) / weight.sum(1, keepdim=True).clamp(min=1)
