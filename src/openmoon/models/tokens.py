"""The currency between trunks and fusion: padded tokens of one modality."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """`values` (B, T, D) with `mask` (B, T), true where there is a token. A row without any lacks the modality."""

    values: Tensor
    mask: Tensor

    def spread(self, rows: list[int], batch: int) -> Tokens:
        """Place row i at `rows[i]` (ascending) of a batch of `batch` rows; the others get no tokens."""
        if len(rows) == batch:
            return self
        index = torch.tensor(rows, device=self.values.device)
        values = self.values.new_zeros(batch, *self.values.shape[1:])
        mask = self.mask.new_zeros(batch, self.mask.shape[1])
        return Tokens(values.index_copy(0, index, self.values), mask.index_copy(0, index, self.mask))


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of each row: (B, T, D), (B, T) → (B, D); zeros for a row without tokens."""
    weight = mask.to(values.dtype)
    return torch.einsum("btd,bt->bd", values, weight) / weight.sum(1, keepdim=True).clamp(min=1)
