"""Batches in float64 and a comparison of value and gradients, shared by the parity tests of this folder."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from openmoon.losses import same_identity


def batch(n: int = 7, dim: int = 6, items: int | None = None) -> tuple[Tensor, Tensor]:
    """Unit vectors: `n` queries and `items` (default `n`) items that require gradients."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(n + (items or n), dim, dtype=torch.float64, generator=generator)
    queries, found = F.normalize(drawn, dim=-1).split([n, items or n])
    return queries.clone().requires_grad_(), found.clone().requires_grad_()


def identities(n: int = 7) -> Tensor:
    """(n, n) bool in which rows 1 and 6, 4 and 5, and 0 and 2 are the same."""
    codes = torch.tensor([[0, 1, 0, 2, 3, 3, 4], [0, 1, 2, 3, 4, 5, 1]])[:, :n]
    return same_identity(codes, codes)


def assert_parity(ours: Callable[..., Tensor], plain: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Both give the same losses, and the same gradients of their weighted sum."""
    results = []
    for loss in (ours, plain):
        leaves = [value.detach().clone().requires_grad_() for value in inputs]
        value = loss(*leaves)
        weighted = (value * torch.linspace(0.5, 1.5, len(value), dtype=value.dtype)).sum()
        results.append([value, *torch.autograd.grad(weighted, leaves)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-9)
