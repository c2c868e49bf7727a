"""The trunks through ONNX Runtime: on CPUs its convolutions are about twice as fast as torch's.

`accelerate` gives an encoder whose trunks run there; fusion stays in torch. The exported files lie beside the weights, keyed
by the encoder's fingerprint, and are made once.
"""

from __future__ import annotations

import copy
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from openmoon.io import atomic_path
from openmoon.models.encoder import ProductEncoder
from openmoon.models.image_trunk import ImageTrunk

OPSET = 17


class OnnxImageTrunk(nn.Module):
    """`ImageTrunk` in ONNX Runtime: pixels (B, 3, H, W) in 0–255 → tokens (B, T, dim), on the CPU, without gradient."""

    def __init__(self, path: Path, dim: int, threads: int) -> None:
        super().__init__()
        self.dim = dim
        self._session = _session(path, threads)

    def forward(self, pixels: Tensor) -> Tensor:
        (tokens,) = self._session.run(None, {"pixels": pixels.contiguous().numpy()})
        return torch.from_numpy(tokens)


class OnnxTextModel(nn.Module):
    """The model inside a `TextTrunk` in ONNX Runtime; called like the Hugging Face model that it replaces."""

    def __init__(self, path: Path, config: Any, threads: int) -> None:
        super().__init__()
        self.config = config
        self._session = _session(path, threads)
        self._device = nn.Parameter(torch.empty(0), requires_grad=False)  # says where the model is: on the CPU

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        feed = {"ids": input_ids.numpy(), "mask": attention_mask.numpy()}
        (tokens,) = self._session.run(None, feed)
        return _Output(torch.from_numpy(tokens))


class _Output:
    def __init__(self, last_hidden_state: Tensor) -> None:
        self.last_hidden_state = last_hidden_state


class _TextGraph(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state


def accelerate(encoder: ProductEncoder, folder: Path, threads: int | None = None) -> ProductEncoder:
    """The same encoder with both trunks in ONNX Runtime, exported to `folder` if they are not there yet.

    Vectors agree to about 1e-5. The result cannot be trained or saved. `threads` defaults to the cores of this process.
    """
    threads = threads or torch.get_num_threads()
    weights = encoder.fingerprint()  # reads every weight: once
    image, text = folder / f"image-{weights}.onnx", folder / f"text-{weights}.onnx"
    fast_image = onnx_image_trunk(encoder.image, encoder.image_size, image, threads)
    if not text.exists():
        example = (torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long))
        _export(
            _TextGraph(encoder.text.model),
            example,
            text,
            {"ids": {0: "batch", 1: "length"}, "mask": {0: "batch", 1: "length"}},
        )
    fast = copy.copy(encoder)
    fast._modules = dict(encoder._modules)
    fast.image = fast_image  # type: ignore[assignment]
    fast.text = copy.copy(encoder.text)
    fast.text._modules = {"model": OnnxTextModel(text, encoder.text.model.config, threads)}
    return fast


def onnx_image_trunk(trunk: ImageTrunk, size: int, path: Path, threads: int | None = None) -> OnnxImageTrunk:
    """The trunk in ONNX Runtime for pictures of `size` x `size`, exported to `path` if it is not there yet."""
    if not path.exists():
        _export(trunk, (torch.zeros(2, 3, size, size),), path, {"pixels": {0: "batch"}})
    return OnnxImageTrunk(path, trunk.dim, threads or torch.get_num_threads())


def _export(module: nn.Module, example: tuple[Tensor, ...], path: Path, dynamic: dict[str, dict[int, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations and tracer notes
        torch.onnx.export(
            module.eval(), example, str(temporary), input_names=list(dynamic), output_names=["tokens"],
            dynamic_axes={**dynamic, "tokens": {0: "batch"} if "pixels" in dynamic else {0: "batch", 1: "length"}},
            opset_version=OPSET, dynamo=False,
        )  # fmt: skip


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0" if os.environ.get("OMP_WAIT_POLICY") == "PASSIVE" else "1"
    )
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
