"""An encoder as a folder of ONNX graphs: what a service in any language needs to make vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from openmoon.errors import UserError
from openmoon.io import write_json
from openmoon.lanes import cpu_lanes
from openmoon.models.encoder import ProductEncoder
from openmoon.models.onnx.fusion import OnnxFusion, export_fusion
from openmoon.models.onnx.graph import onnx_runtime
from openmoon.models.onnx.quantize import is_convolutional, quantize_by_pictures, quantize_products
from openmoon.models.onnx.trunks import OnnxImageTrunk, OnnxTextModel, export_image, export_text, with_trunks

GRAPHS = ("image", "text", "fusion")
FLOAT, INT8 = "", "-int8"


def save_onnx(encoder: ProductEncoder, folder: Path, pictures: Callable[[], list[np.ndarray]] | None = None) -> None:
    """Write image.onnx, text.onnx, fusion.onnx, the tokenizer and encoder.json; with `pictures` (batches of pixels that int8
    takes its ranges from, (B, 3, S, S) float32 in 0–255) also `-int8` copies of the graphs. Graphs of an earlier export go; what
    else is in the folder stays. encoder.json comes last: without it the folder is no export."""
    for name in ("encoder.json", *(f"{graph}{precision}.onnx" for graph in GRAPHS for precision in (FLOAT, INT8))):
        (folder / name).unlink(missing_ok=True)
    export_image(encoder.image, encoder.image_size, folder / "image.onnx")
    export_text(encoder, folder / "text.onnx")
    export_fusion(encoder, folder / "fusion.onnx")
    encoder.text.tokenizer.save_pretrained(folder / "tokenizer")
    if pictures is not None:
        for name in GRAPHS:
            if name == "image" and is_convolutional(folder / "image.onnx"):
                quantize_by_pictures(folder / "image.onnx", folder / "image-int8.onnx", pictures())
            else:
                quantize_products(folder / f"{name}.onnx", folder / f"{name}-int8.onnx")
    write_json(folder / "encoder.json", {
        "encoder": encoder.fingerprint(), "image_size": encoder.image_size, "max_tokens": encoder.text.max_tokens,
        "dims": encoder.dims,
        "pixels": "RGB, 0 to 255: the centre square (of an odd rest the smaller half is cut left and "
                  "above), resized by a bicubic filter that is widened where it shrinks, as Pillow's BICUBIC",
        "missing": "a product without picture or text goes into the fusion with one token there, its mask false",
    })  # fmt: skip


def load_onnx(encoder: ProductEncoder, folder: Path, precision: str = FLOAT) -> ProductEncoder:
    """`encoder` computing with the graphs that `save_onnx` wrote of it; `precision` is `FLOAT` or `INT8`. `UserError` where the
    folder holds another encoder or no such precision."""
    facts = folder / "encoder.json"
    written = json.loads(facts.read_text(encoding="utf-8"))["encoder"] if facts.exists() else None
    if written != encoder.fingerprint() or not (folder / f"fusion{precision}.onnx").exists():
        raise UserError(f"{folder}: not an export of this encoder in this precision; run `openmoon export` again.")
    threads = max(1, torch.get_num_threads() // cpu_lanes())  # each lane calls for itself
    image = OnnxImageTrunk(onnx_runtime(folder / f"image{precision}.onnx", threads), encoder.image.dim)
    text = OnnxTextModel(onnx_runtime(folder / f"text{precision}.onnx", threads), encoder.text.model.config)
    fast = with_trunks(encoder, image, text)
    run = onnx_runtime(folder / f"fusion{precision}.onnx", threads)
    fast.fusion = OnnxFusion(run, encoder.image.dim, encoder.text.dim)  # type: ignore[assignment]
    return fast
