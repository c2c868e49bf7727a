"""A saved encoder made fast for long runs over a catalogue."""

from __future__ import annotations

from pathlib import Path

from openmoon.config.data import Precision
from openmoon.device import compute_device
from openmoon.models.encoder import ProductEncoder
from openmoon.models.onnx.trunks import accelerate


def fast_encoder(
    encoder: ProductEncoder, folder: Path, precision: Precision = "float32", fingerprint: str | None = None
) -> ProductEncoder:
    """The same encoder on the GPU, or on a CPU `accelerate`d: its trunks in OpenVINO in `precision`, exported to `folder`."""
    device = compute_device()
    return accelerate(encoder, folder, precision, fingerprint) if device.type == "cpu" else encoder.to(device)
