"""The trunks as ONNX graphs, for CPUs.

`accelerate` gives an encoder whose trunks run in OpenVINO; fusion stays in torch. The exported files are keyed by the encoder's
fingerprint and made once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from openmoon.config.data import Precision
from openmoon.lanes import cpu_lanes
from openmoon.models.encoder import ProductEncoder
from openmoon.models.image_trunk import ImageTrunk
from openmoon.models.onnx.graph import Run, export, openvino

AT_ONCE = 8 * 160 * 160  # pixels: what the layers hand on of so many stays in the processor's cache


class OnnxImageTrunk(nn.Module):
    """`ImageTrunk` as a graph that `run` computes, on the CPU, without gradient: pixels (B, 3, H, W) in 0–255, uint8 or float →
    tokens (B, T, dim). Few pictures go at once."""

    def __init__(self, run: Run, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self._run = run

    def forward(self, pixels: Tensor) -> Tensor:
        few = max(1, AT_ONCE // pixels[0, 0].numel())
        parts = (torch.empty(part.shape).copy_(part).numpy() for part in pixels.split(few))  # rows of planes, in one pass
        return torch.from_numpy(np.concatenate([self._run({"pixels": part}) for part in parts]))


class OnnxTextModel(nn.Module):
    """The model inside a `TextTrunk` as a graph that `run` computes; called like the Hugging Face model that it replaces."""

    def __init__(self, run: Run, config: Any) -> None:
        super().__init__()
        self.config = config
        self._run = run
        self._device = nn.Parameter(torch.empty(0), requires_grad=False)  # says where the model is: on the CPU

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        feed = {"ids": input_ids.numpy(), "mask": attention_mask.numpy()}
        return SimpleNamespace(last_hidden_state=torch.from_numpy(self._run(feed)))


class _TextGraph(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state


def accelerate(
    encoder: ProductEncoder, folder: Path, precision: Precision = "float32", fingerprint: str | None = None
) -> ProductEncoder:
    """The same encoder with both trunks in OpenVINO, exported to `folder` if they are not there yet, made for many
    batches: one alone has a single stream.

    In float32 vectors agree to about 1e-5; bfloat16 is faster on processors that compute in it. The result cannot be trained or
    saved. `fingerprint` is the encoder's, where the caller has it: it takes a look at every weight.
    """
    weights = fingerprint or encoder.fingerprint()
    image, text = folder / f"image-{weights}.onnx", folder / f"text-{weights}.onnx"
    load = partial(openvino, threads=torch.get_num_threads(), precision=precision, streams=cpu_lanes())
    fast_image = onnx_image_trunk(encoder.image, encoder.image_size, image, load)
    if not text.exists():
        export_text(encoder, text)
    return with_trunks(encoder, fast_image, OnnxTextModel(load(text), encoder.text.model.config))


def with_trunks(encoder: ProductEncoder, image: nn.Module, text: nn.Module) -> ProductEncoder:
    """A copy of the encoder that computes with other trunks; it shares everything else."""
    fast = copy.copy(encoder)
    fast._modules = dict(encoder._modules)
    fast.image = image  # type: ignore[assignment]
    fast.text = copy.copy(encoder.text)
    fast.text._modules = {"model": text}
    return fast


def export_text(encoder: ProductEncoder, path: Path) -> None:
    """The text trunk as a graph: ids and mask (B, L) int64 → tokens (B, L, dim)."""
    example = (torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long))
    axes = {"ids": {0: "batch", 1: "length"}, "mask": {0: "batch", 1: "length"}}
    export(_TextGraph(encoder.text.model), example, path, axes, "tokens", {0: "batch", 1: "length"})


def export_image(trunk: ImageTrunk, size: int, path: Path) -> None:
    """The image trunk as a graph: pixels (B, 3, size, size) float in 0–255 → tokens (B, T, dim)."""
    export(trunk, (torch.zeros(2, 3, size, size),), path, {"pixels": {0: "batch"}}, "tokens", {0: "batch"})


def onnx_image_trunk(trunk: ImageTrunk, size: int, path: Path, load: Callable[[Path], Run]) -> OnnxImageTrunk:
    """The trunk for pictures of `size` x `size` as `load` runs its graph, exported to `path` if it is not there yet."""
    if not path.exists():
        export_image(trunk, size, path)
    return OnnxImageTrunk(load(path), trunk.dim)
