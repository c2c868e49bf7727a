"""Comparison of values and gradients with plain references in float64, shared by the parity tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers in float64."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def filled(module: nn.Module, seed: int = 7) -> nn.Module:
    """The module in float64 with every weight drawn anew, so that nothing hides behind an initial zero."""
    module = module.double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.parameters():
            value.copy_(0.5 * torch.randn(value.shape, dtype=value.dtype, generator=generator))
    return module


def results(function: Callable[..., Tensor], inputs: Sequence[Tensor], module: nn.Module | None = None) -> list[Tensor]:
    """The value, and the gradients of its weighted sum by the inputs and by the module's weights."""
    leaves = [value.detach().clone().requires_grad_() for value in inputs]
    value = function(*leaves)
    weighted = (value * torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).view(value.shape)).sum()
    weights = list(module.parameters()) if module is not None else []
    return [value, *torch.autograd.grad(weighted, [*leaves, *weights], materialize_grads=True)]


def assert_parity(
    ours: Callable[..., Tensor], plain: Callable[..., Tensor], *inputs: Tensor, module: nn.Module | None = None
) -> None:
    """Both give the same values and gradients."""
    for found, expected in zip(results(ours, inputs, module), results(plain, inputs, module), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-11, rtol=1e-8)
