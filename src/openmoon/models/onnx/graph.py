"""ONNX graphs: written from modules, run by ONNX Runtime."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from openmoon.io import atomic_path

OPSET = 17
Axes = dict[int, str]


def export(
    module: nn.Module, example: tuple[Tensor, ...], path: Path, inputs: dict[str, Axes], output: str, output_axes: Axes
) -> None:
    """Write `module` as it computes on `example`; `inputs` names them and says which of their axes may vary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations and tracer notes
        torch.onnx.export(
            module.eval(), example, str(temporary), input_names=list(inputs), output_names=[output],
            dynamic_axes={**inputs, output: output_axes}, opset_version=OPSET, dynamo=False,
        )  # fmt: skip


def session(path: Path, threads: int) -> Any:
    """An inference session on the CPU; its threads do not spin where the process waits passively."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0" if os.environ.get("OMP_WAIT_POLICY") == "PASSIVE" else "1"
    )
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
