"""Exported graphs against the encoder that they were made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from openmoon import ProductEncoder
from openmoon.config import EncoderConfig
from openmoon.errors import UserError
from openmoon.models.encode import load_picture
from openmoon.models.encoder import build_encoder, upcycled
from openmoon.models.onnx.folder import INT8, load_onnx, save_onnx
from openmoon.models.onnx.graph import onnx_runtime, openvino


def routed(encoder: ProductEncoder, router: str = "modality") -> ProductEncoder:
    """The encoder with three experts that differ."""
    config = encoder.config
    fusion = config.fusion.model_copy(update={"experts": 3, "router": router})
    encoder = upcycled(encoder, config.model_copy(update={"fusion": fusion}))
    with torch.no_grad():
        for parameter in encoder.fusion.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return encoder.eval()


@pytest.mark.parametrize("router", [None, "modality", "token"])
def test_graphs_compute_what_the_encoder_computes(
    tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path, router: str | None
) -> None:
    encoder = routed(tiny_encoder, router) if router else tiny_encoder
    mixed = ["red boot with dots", *pictures, {"text": "lamp", "image": pictures[0]}, "mug"]
    expected = encoder.encode(mixed)
    save_onnx(encoder, tmp_path, list)  # no convolutions do the work here, so no picture is needed
    for batch in (1, 4, 16):
        np.testing.assert_allclose(load_onnx(encoder, tmp_path).encode(mixed, batch_size=batch), expected, atol=1e-4)
    small = load_onnx(encoder, tmp_path, INT8).encode(mixed)
    save_onnx(encoder, tmp_path)
    with pytest.raises(UserError, match="not an export of this encoder in this precision"):
        load_onnx(encoder, tmp_path, INT8)
    assert (small * expected).sum(1).min() > 0.97
    assert (small != expected).any()


def test_convolutions_take_their_ranges_from_pictures(
    tmp_path: Path, pictures: list[Path], tiny_trunks: tuple[str, str]
) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig.model_validate({"image": {"size": 64}, "text": {"trunk": tiny_trunks[1]}})).eval()
    pixels = np.stack([load_picture(path, 64) for path in pictures]).transpose(0, 3, 1, 2).astype(np.float32)
    save_onnx(encoder, tmp_path, lambda: [pixels])
    expected, small = encoder.encode(pictures), load_onnx(encoder, tmp_path, INT8).encode(pictures)
    assert (small * expected).sum(1).min() > 0.95
    assert (tmp_path / "image-int8.onnx").stat().st_size < 0.4 * (tmp_path / "image.onnx").stat().st_size
    with pytest.raises(UserError, match="none can be read"):
        save_onnx(encoder, tmp_path, list)


@pytest.mark.parametrize("content", [b"", b"no graph"])
def test_a_damaged_graph_is_told_of(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "image.onnx").write_bytes(content)
    for load in (onnx_runtime, openvino):
        with pytest.raises(UserError, match=r"image.onnx: cannot be read as an ONNX graph"):
            load(tmp_path / "image.onnx", 1)  # type: ignore[operator]
