"""New backgrounds: plain colours, gradients, soft blotches, and blurred scenes made from other pictures of the shop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Floats = npt.NDArray[np.float32]

KINDS = ("plain", "gradient", "blotches", "scene")


def background(
    kind: str, height: int, width: int, rng: np.random.Generator, others: Sequence[npt.NDArray[np.uint8]] = ()
) -> Floats:
    """A background (H, W, 3) float32 in 0–255 of one of `KINDS`; a scene is made from `others`, each (h, w, 3)."""
    if kind == "plain":
        return np.full((height, width, 3), _colour(rng), np.float32)
    if kind == "gradient":
        return _stretched(np.stack([_colour(rng) for _ in range(4)]).reshape(2, 2, 3), height, width)
    if kind == "blotches":
        cells = int(rng.integers(3, 8))
        shades = _colour(rng) + rng.normal(0, 22, (cells, cells, 1)) + rng.normal(0, 8, (cells, cells, 3))
        return _stretched(shades.clip(0, 255), height, width)
    return _scene(height, width, rng, others)


def _colour(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A muted colour (3,) in 0–255, as of walls, paper and cloth."""
    return np.asarray(np.clip(rng.uniform(50, 235) + rng.normal(0, 18, 3), 0, 255))


def _stretched(cells: npt.NDArray[np.floating], height: int, width: int) -> Floats:
    """Few cells (h, w, 3) as a smooth picture."""
    bands = [Image.fromarray(cells[..., band].astype(np.float32)) for band in range(3)]
    wide = [np.asarray(band.resize((width, height), Image.Resampling.BICUBIC)) for band in bands]
    return np.clip(np.stack(wide, 2), 0, 255).astype(np.float32)


def _scene(height: int, width: int, rng: np.random.Generator, others: Sequence[npt.NDArray[np.uint8]]) -> Floats:
    """Parts of other pictures side by side, out of focus."""
    canvas = Image.new("RGB", (128, 128))
    edges = np.linspace(0, 128, len(others) + 1).astype(int)
    for other, left, right in zip(others, edges[:-1], edges[1:], strict=True):
        side = max(1, round(min(other.shape[:2]) * rng.uniform(0.35, 0.8)))
        top = int(rng.integers(0, other.shape[0] - side + 1))
        start = int(rng.integers(0, other.shape[1] - side + 1))
        part = Image.fromarray(other[top : top + side, start : start + side])
        canvas.paste(part.resize((int(right - left), 128), Image.Resampling.BILINEAR), (int(left), 0))
    blurred = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(7, 14))).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(blurred, np.float32) * np.float32(rng.uniform(0.6, 1.0))
