"""Temporal negatives: items of earlier steps, first in, first out (MoCo, He et al. 2020; MOON post-training, 2b)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ItemQueue(nn.Module):
    """The last `size` item vectors with their identities and product rows; part of a run's checkpoint.

    At batches of B pairs no vector is older than size / B steps. Vectors carry no gradient. `identities` is the number of
    codes per item that the false-negative mask compares.
    """

    vectors: Tensor
    codes: Tensor
    products: Tensor
    pushed: Tensor

    def __init__(self, size: int, dim: int, identities: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("vectors", torch.zeros(size, dim))
        self.register_buffer("codes", torch.zeros(identities, size, dtype=torch.int64))
        self.register_buffer("products", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))  # items ever put in

    @property
    def filled(self) -> int:
        """How many places hold an item."""
        return min(self.size, int(self.pushed))

    def items(self) -> tuple[Tensor, Tensor, Tensor]:
        """Copies of what is held: vectors (N, D), codes (K, N), product rows (N,)."""
        n = self.filled
        return self.vectors[:n].clone(), self.codes[:, :n].clone(), self.products[:n].clone()

    @torch.no_grad()
    def push(self, vectors: Tensor, codes: Tensor, products: Tensor) -> None:
        """Put in (B, D) vectors, (K, B) codes and (B,) product rows; the oldest make room. Of more than `size` the last stay."""
        kept = min(self.size, len(vectors))
        skipped = len(vectors) - kept
        places = (self.pushed + skipped + torch.arange(kept, device=vectors.device)) % self.size
        self.vectors[places] = vectors[skipped:].to(self.vectors.dtype)
        self.codes[:, places] = codes[:, skipped:]
        self.products[places] = products[skipped:]
        self.pushed += len(vectors)
