"""ONNX graphs: written from modules, run by ONNX Runtime or OpenVINO."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from openmoon.config.data import Precision
from openmoon.errors import UserError
from openmoon.io import atomic_path, locked

OPSET = 17
_FIRST_CALL = threading.Lock()  # OpenVINO's binding sets up tables at the first calls; two threads in it at once never return
Axes = dict[int, str]
Run = Callable[[dict[str, np.ndarray]], np.ndarray]  # inputs by name → the one output


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


def _damaged(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{path}: cannot be read as an ONNX graph ({reason}); delete it and run the command that wrote it again.")


def onnx_runtime(path: Path, threads: int) -> Run:
    """The graph in ONNX Runtime on the CPU; its threads do not spin where the process waits passively."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0" if os.environ.get("OMP_WAIT_POLICY") == "PASSIVE" else "1"
    )
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        raise _damaged(path, error) from error

    def run(feed: dict[str, np.ndarray]) -> np.ndarray:
        (output,) = session.run(None, feed)
        return np.asarray(output)

    return run


def openvino(path: Path, threads: int, precision: Precision = "float32", streams: int = 1) -> Run:
    """The graph in OpenVINO on the CPU; bfloat16 where the processor computes in it, else float32. `streams` calls at a time
    share the threads. Not tied to cores, so that processes beside each other do not meet on the same ones. What it was compiled
    to is kept beside the graph, whose path is to name what it holds."""
    from openvino import Core

    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
               "ENABLE_CPU_PINNING": False, "NUM_STREAMS": streams, "CACHE_DIR": str(path.parent / "compiled")}  # fmt: skip
    own = threading.local()
    with locked(path.with_suffix(".lock")):  # no other process reads what one is still writing
        try:
            model = Core().compile_model(str(path), "CPU", options)
        except RuntimeError as error:
            raise _damaged(path, error) from error

    def run(feed: dict[str, np.ndarray]) -> np.ndarray:
        if not hasattr(own, "request"):  # a request serves one call at a time
            with _FIRST_CALL:
                own.request = model.create_infer_request()
                return infer(feed)
        return infer(feed)

    def infer(feed: dict[str, np.ndarray]) -> np.ndarray:
        return np.asarray(own.request.infer(feed, share_inputs=True)[0])

    return run
