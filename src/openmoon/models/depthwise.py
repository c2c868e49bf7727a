"""Depthwise convolution for fine-tuning on a CPU, where torch's own loses much of a backward pass with two things.

oneDNN has a fast gradient of depthwise weights for kernels up to three columns wide; a wider one falls back to code that takes
ten times as long. So the gradient is taken in stripes of three columns. And what is padded more on one side than on the other is
copied for it: here every element is written once, and the gradient is a view.
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
    """With `around` zeros on every side, and `more` on each. What is kept of x is what the gradient of the weights reads."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, int], around: int, more: Padding
    ) -> Tensor:
        seen = _padded(x, more)
        ctx.save_for_backward(x if weight.shape[3] > FAST else seen, weight)
        ctx.settings = stride, around, more, x.shape, seen.shape
        return F.conv2d(seen, weight, bias, stride, around, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (kept, weight), (stride, around, (left, _, top, _), shape, seen) = ctx.saved_tensors, ctx.settings
        for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
        of_x = of_weight = None
        if for_x:
            unread = torch.empty(seen, dtype=kept.dtype, memory_format=torch.channels_last)
            of_x = _backward(gradient, unread, weight, stride, around, (True, False))[0]
            of_x = of_x[:, :, top : top + shape[2], left : left + shape[3]]
        if for_weight and weight.shape[3] > FAST:
            of_weight = _by_stripes(gradient, kept, weight, stride, around + top, around + left)
        elif for_weight:
            of_weight = _backward(gradient, kept, weight, stride, around, (False, True))[1]
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
