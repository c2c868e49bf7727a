"""Depthwise convolution for fine-tuning on a CPU, where torch's own spends most of a backward pass on two things.

oneDNN has a fast gradient of depthwise weights for kernels up to three columns wide; a wider one falls back to code that takes
ten times as long. So the gradient is taken in stripes of three columns. And a side that is padded more than the other is padded
by a copy: here one that writes every element once, is not kept for the backward pass, and whose gradient is a view.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FAST = 3  # columns of a kernel
Padding = tuple[int, int, int, int]
"""Left, right, top, bottom."""


def depthwise(x: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, int], padding: Padding) -> Tensor:
    """`F.conv2d` of x (B, C, H, W) with a kernel for each channel, weight (C, 1, h, w) and bias (C,), after zeros around x."""
    around = min(padding)
    more = tuple(side - around for side in padding)
    if x.device.type == "cpu" and not torch.jit.is_tracing() and (any(more) or weight.shape[3] > FAST):
        return _Depthwise.apply(x, weight, bias, stride, around, more)
    return F.conv2d(F.pad(x, more) if any(more) else x, weight, bias, stride, around, groups=len(weight))


class _Depthwise(torch.autograd.Function):
    """With `around` zeros on every side, and `more` on each."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, int], around: int, more: Padding
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.settings = stride, around, more
        return F.conv2d(_padded(x, more), weight, bias, stride, around, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), (stride, around, more) = ctx.saved_tensors, ctx.settings
        (for_x, for_weight, for_bias), (left, _, top, _) = ctx.needs_input_grad[:3], more
        wide = weight.shape[3] > FAST
        seen = _padded(x, more)
        of_x, of_weight = _backward(gradient, seen, weight, stride, around, (for_x, for_weight and not wide))
        if of_x is not None:
            of_x = of_x[:, :, top : top + x.shape[2], left : left + x.shape[3]]
        if for_weight and wide:
            of_weight = _by_stripes(gradient, x, weight, stride, around + top, around + left)
        return of_x, of_weight, gradient.sum((0, 2, 3)) if for_bias else None, None, None, None


def _by_stripes(gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], top: int, left: int) -> Tensor:
    """The gradient of the weights, of an x that has `top` and `left` zeros before it."""
    rows, columns = ((out - 1) * step for out, step in zip(gradient.shape[2:], stride, strict=True))
    stripes = []
    for start, kernel in zip(range(0, weight.shape[3], FAST), weight.split(FAST, 3), strict=True):
        seen = _window(x, -top, start - left, rows + kernel.shape[2], columns + kernel.shape[3])
        stripes.append(_backward(gradient, seen, kernel, stride, 0, (False, True))[1])
    return torch.cat(stripes, 3)


def _backward(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], around: int, wanted: tuple[bool, bool]
) -> Any:
    """The gradients of x and weight, None where not `wanted`."""
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, (around, around), (1, 1), False, (0, 0), len(weight), (*wanted, False)
    )[:2]


def _padded(x: Tensor, padding: Padding) -> Tensor:
    left, right, top, bottom = padding
    return _window(x, -top, -left, top + x.shape[2] + bottom, left + x.shape[3] + right) if any(padding) else x


def _window(x: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """A copy of what x (B, C, H, W) shows from row `top` and column `left` on, channels last; zeros where it shows nothing."""
    out = torch.empty((*x.shape[:2], height, width), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    first, last = max(-top, 0), min(x.shape[2] - top, height)
    start, end = max(-left, 0), min(x.shape[3] - left, width)
    out[:, :, :first], out[:, :, last:] = 0, 0
    out[:, :, first:last, :start], out[:, :, first:last, end:] = 0, 0
    out[:, :, first:last, start:end] = x[:, :, top + first : top + last, left + start : left + end]
    return out
