"""Depthwise convolution and its gradients against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from openmoon.models.depthwise import Padding, depthwise


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def gradients(found: Tensor, *inputs: Tensor) -> list[Tensor]:
    weight = torch.linspace(-1, 1, found.numel(), dtype=found.dtype).view_as(found)
    return list(torch.autograd.grad((found * weight).sum(), inputs))


@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (7, 7), (1, 4), (2, 5)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 2)])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (2, 2, 2, 2), (0, 1, 0, 1), (1, 2, 1, 2), (3, 0, 1, 2)])
@pytest.mark.parametrize("size", [(7, 9), (10, 8)])
def test_outputs_and_gradients_are_torchs(
    kernel: tuple[int, int], stride: tuple[int, int], padding: Padding, size: tuple[int, int]
) -> None:
    inputs = drawn(2, 4, *size).to(memory_format=torch.channels_last), drawn(4, 1, *kernel), drawn(4)
    for value in inputs:
        value.requires_grad_()
    x, weight, bias = inputs
    ours = depthwise(x, weight, bias, stride, padding)
    theirs = F.conv2d(F.pad(x, padding), weight, bias, stride, groups=4)
    torch.testing.assert_close(ours, theirs)
    for found, expected in zip(gradients(ours, *inputs), gradients(theirs, *inputs), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_only_what_is_asked_for_has_a_gradient(wanted: tuple[bool, bool, bool]) -> None:
    inputs = drawn(2, 4, 6, 6), drawn(4, 1, 5, 5), drawn(4)
    for value, asked in zip(inputs, wanted, strict=True):
        value.requires_grad_(asked)
    asked_for = [value for value in inputs if value.requires_grad]
    x, weight, bias = inputs
    (found,) = gradients(depthwise(x, weight, bias, (2, 2), (1, 2, 1, 2)), *asked_for)
    (expected,) = gradients(F.conv2d(F.pad(x, (1, 2, 1, 2)), weight, bias, 2, groups=4), *asked_for)
    torch.testing.assert_close(found, expected)


def test_float32_too() -> None:
    inputs = [value.float().requires_grad_() for value in (drawn(3, 16, 9, 9), drawn(16, 1, 5, 5), drawn(16))]
    x, weight, bias = inputs
    ours = gradients(depthwise(x, weight, bias, (1, 1), (2, 2, 2, 2)), *inputs)
    for found, expected in zip(ours, gradients(F.conv2d(x, weight, bias, 1, 2, groups=16), *inputs), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
