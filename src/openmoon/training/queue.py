"""Temporal negatives: items of earlier steps, first in, first out (MoCo, He et al. 2020; MOON post-training, 2b).

The encoder moves on while they wait. Met as they are, they teach it to move faster: a query tells its item from the old ones by
age alone, and the whole space drifts. They are therefore given the moments of the current items first (Ajanthan et al. 2023).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ItemQueue(nn.Module):
    """The last `size` item vectors with their identities and product rows; part of a run's checkpoint.

    At batches of B pairs no vector is older than size / B steps. Vectors carry no gradient. `identities` is the number of
    codes per item that the false-negative mask compares. Without `moments` the vectors stay as they were put in.
    """

    vectors: Tensor
    codes: Tensor
    products: Tensor
    pushed: Tensor

    def __init__(self, size: int, dim: int, identities: int, moments: bool = True) -> None:
        super().__init__()
        self.size = size
        self.moments = moments
        self.register_buffer("vectors", torch.zeros(size, dim))
        self.register_buffer("codes", torch.zeros(identities, size, dtype=torch.int64))
        self.register_buffer("products", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))  # items ever put in

    @property
    def filled(self) -> int:
        """How many places hold an item."""
        return min(self.size, int(self.pushed))

    def items(self, current: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Copies of what is held: unit vectors (N, D), codes (K, N), product rows (N,).

        In every dimension the vectors are shifted and scaled to the mean and deviation of the `current` items (B, D) and then
        normalised again, which moves both a little; with fewer than two old or current items, or without `moments`, they stay
        as they are.
        """
        n = self.filled
        old = self.vectors[:n].to(current)
        brought_up = _brought_up(old, current.detach()) if self.moments else old.clone()
        return brought_up, self.codes[:, :n].clone(), self.products[:n].clone()

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


def _brought_up(old: Tensor, current: Tensor) -> Tensor:
    if len(old) < 2 or len(current) < 2:
        return old.clone()
    scale = current.std(0) / old.std(0).clamp(min=1e-6)
    return F.normalize((old - old.mean(0)) * scale + current.mean(0), dim=1)
