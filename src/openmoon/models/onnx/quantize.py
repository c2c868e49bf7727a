"""int8 copies of exported graphs, for CPUs.

Convolutions are quantised with ranges measured on the shop's own pictures, but for the first eighth of them: these see pixels,
whose errors all later layers inherit. Matrix products take their ranges from each
input. What it costs in recall is measured by `openmoon export`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx

from openmoon.errors import UserError
from openmoon.io import atomic_path

FLOAT_SHARE = 8  # one in so many convolutions, from the first on, stays float


def is_convolutional(graph: Path) -> bool:
    """Whether convolutions do the work: not where one cuts the picture into patches for a transformer."""
    return len(_convolutions(graph)) >= FLOAT_SHARE


def _convolutions(graph: Path) -> list[str]:
    return [node.name for node in onnx.load(str(graph), load_external_data=False).graph.node if node.op_type == "Conv"]


def quantize_by_pictures(graph: Path, path: Path, batches: list[np.ndarray]) -> None:
    """A convolutional image trunk in int8, weights per channel; `batches` of pixels (B, 3, S, S) float32 in 0–255 set the
    ranges."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if not batches:
        raise UserError("export: int8 takes its ranges from the catalogue's pictures, but none can be read. Export without int8 "
                        "(--no-int8), or mend the pictures.")  # fmt: skip

    class Pictures(CalibrationDataReader):
        def __init__(self) -> None:
            self._left: Iterator[np.ndarray] = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            pixels = next(self._left, None)
            return None if pixels is None else {"pixels": pixels}

    with atomic_path(path) as temporary, _quietly():
        folded = temporary.with_suffix(".folded")
        try:
            quant_pre_process(str(graph), str(folded), skip_symbolic_shape=True)
            names = _convolutions(folded)
            quantize_static(
                str(folded), str(temporary), Pictures(), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv"],
                nodes_to_exclude=names[: len(names) // FLOAT_SHARE],
            )  # fmt: skip
        finally:
            folded.unlink(missing_ok=True)


def quantize_products(graph: Path, path: Path) -> None:
    """Text trunk or fusion with matrix products and word vectors in int8, weights per channel."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with atomic_path(path) as temporary, _quietly():
        quantize_dynamic(onnx.load(str(graph)), str(temporary), weight_type=QuantType.QInt8, per_channel=True,
                         op_types_to_quantize=["MatMul", "Gemm", "Gather"])  # fmt: skip


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the quantiser's advice to run steps that were run, and without the handler that its logging leaves behind."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
