"""Random views of pictures for training: one geometric and one colour transform per picture, whole batches at once.

Crop, flip, rotation and aspect are a single `grid_sample`; the photometric part is arithmetic on the batch. All
randomness comes from the generator that is handed in, so a step can be repeated.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


def plain_view(pixels: np.ndarray, size: int) -> Tensor:
    """(B, S, S, 3) uint8 → (B, 3, size, size) float in 0–255, only resized."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def random_view(pixels: np.ndarray, size: int, strength: float, rng: np.random.Generator) -> Tensor:
    """(B, S, S, 3) uint8 → (B, 3, size, size) float in 0–255, every picture changed in its own way.

    `strength` 0..1 scales everything: at 1 crops go down to 30% of the area, rotation to ±25°, light and contrast to
    ±40%, colour cast to ±15%, and half of the pictures lose a rectangle or their sharpness.
    """
    if strength == 0:
        return plain_view(pixels, size)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    images = _geometry(images, size, strength, rng)
    images = _photometry(images, strength, rng)
    images = _blur(images, strength, rng)
    return _erase(images, strength, rng)


def _geometry(images: Tensor, size: int, strength: float, rng: np.random.Generator) -> Tensor:
    n = len(images)
    side = np.sqrt(rng.uniform(1 - 0.7 * strength, 1, n))
    stretch = np.exp(rng.uniform(-0.2, 0.2, n) * strength)
    width, height = np.minimum(side * stretch, 1), np.minimum(side / stretch, 1)
    angle = np.deg2rad(rng.uniform(-25, 25, n) * strength)
    flip = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    x, y = rng.uniform(-1, 1, n) * (1 - width), rng.uniform(-1, 1, n) * (1 - height)
    cos, sin = np.cos(angle), np.sin(angle)
    theta = np.stack([flip * width * cos, -height * sin, x, flip * width * sin, height * cos, y], 1).reshape(n, 2, 3)
    grid = F.affine_grid(torch.from_numpy(theta).float(), [n, 3, size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _photometry(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    def per_picture(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (len(images), channels, 1, 1))).float()

    gain = per_picture(1 - 0.4 * strength, 1 + 0.4 * strength) * per_picture(
        1 - 0.15 * strength, 1 + 0.15 * strength, 3
    )
    contrast = per_picture(1 - 0.4 * strength, 1 + 0.4 * strength)
    saturation = per_picture(1 - 0.4 * strength, 1 + 0.4 * strength)
    gray = (images * LUMA).sum(1, keepdim=True)
    images = gray + (images - gray) * saturation
    mean = gray.mean((2, 3), keepdim=True)
    return ((mean + (images - mean) * contrast) * gain).clamp_(0, 255)


def _blur(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    rows = torch.from_numpy(np.flatnonzero(rng.random(len(images)) < 0.25 * strength))
    if len(rows):
        soft = F.avg_pool2d(F.pad(images[rows], (2, 2, 2, 2), mode="reflect"), 5, stride=1)
        images = images.index_copy(0, rows, soft)
    return images


def _erase(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    size = images.shape[-1]
    for row in np.flatnonzero(rng.random(len(images)) < 0.5 * strength):
        height, width = rng.integers(size // 8, size // 3, 2)
        top, left = rng.integers(0, size - height), rng.integers(0, size - width)
        images[row, :, top : top + height, left : left + width] = float(rng.uniform(0, 255))
    return images
