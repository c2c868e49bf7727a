"""Random views of pictures for training: as a shopper might photograph what the studio shows. Whole batches at once.

Zoom, flip, rotation and aspect are a single `grid_sample`; a plain studio background is swapped for another; the
photometric part is arithmetic on the batch. All randomness comes from the generator that is handed in, so a step can be
repeated.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

STUDIO = 24.0  # of 0–255: what differs less from the border's colour is background
CELLS = 32  # the grid on which background is told from plain parts of the subject
CPU = torch.device("cpu")
LUMA = 0.299, 0.587, 0.114


def plain_view(pixels: np.ndarray, size: int, device: torch.device = CPU) -> Tensor:
    """(B, S, S, 3) uint8 → (B, 3, size, size) float in 0–255 on `device`, only resized."""
    images = _images(pixels, device)
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def random_view(
    pixels: np.ndarray, size: int, strength: float, rng: np.random.Generator, device: torch.device = CPU
) -> Tensor:
    """(B, S, S, 3) uint8 → (B, 3, size, size) float in 0–255 on `device`, every picture changed in its own way.

    `strength` 0..1 scales everything: at 1 crops go down to 30% of the area and pictures shrink to 60% of theirs, rotation
    goes to ±25°, light and contrast to ±40%, colour cast to ±15%; half of the pictures lose a rectangle, a quarter their
    sharpness, and all of those on a plain background get another one.
    """
    if strength == 0:
        return plain_view(pixels, size, device)
    images = _images(pixels, device)
    images = _geometry(images, size, strength, rng)
    images = _background(images, strength, rng)
    images = _photometry(images, strength, rng)
    images = _blur(images, strength, rng)
    return _erase(images, strength, rng)


def _images(pixels: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()


def _geometry(images: Tensor, size: int, strength: float, rng: np.random.Generator) -> Tensor:
    n = len(images)
    side = np.sqrt(rng.uniform(1 - 0.7 * strength, 1 + 0.65 * strength, n))
    stretch = np.exp(rng.uniform(-0.2, 0.2, n) * strength)
    width, height = side * stretch, side / stretch
    angle = np.deg2rad(rng.uniform(-25, 25, n) * strength)
    flip = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    x, y = rng.uniform(-1, 1, n) * abs(1 - width), rng.uniform(-1, 1, n) * abs(1 - height)
    cos, sin = np.cos(angle), np.sin(angle)
    theta = np.stack([flip * width * cos, -height * sin, x, flip * width * sin, height * cos, y], 1).reshape(n, 2, 3)
    grid = F.affine_grid(torch.from_numpy(theta).to(images), [n, 3, size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _background(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Swap the background of studio pictures, those whose border is one colour, for blotches or another picture."""
    border = torch.cat([images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]], 2)
    colour = border.median(2).values[:, :, None]
    studio = ((border - colour).abs().amax(1) < STUDIO).float().mean(1) > 0.6
    rows = torch.from_numpy(np.flatnonzero(studio.cpu().numpy() & (rng.random(len(images)) < strength))).to(images.device)
    if not len(rows):
        return images
    chosen = images[rows]
    plain = 1 - ((chosen - colour[rows][..., None]).abs().amax(1, keepdim=True) / STUDIO).clamp(0, 1)
    plain = plain * _reached_from_border(plain)
    cells = int(rng.integers(2, 12))
    gray, tint = rng.uniform(40, 215, (len(rows), 1, cells, cells)), rng.uniform(-45, 45, (len(rows), 3, cells, cells))
    other = _enlarged(torch.from_numpy(gray + tint).to(images), images.shape[-1])
    pictures = np.flatnonzero(rng.random(len(rows)) < 0.3)
    neighbours = rng.integers(0, len(images), len(rows))[pictures]
    other[torch.from_numpy(pictures)] = images[torch.from_numpy(neighbours)].flip(2)
    return images.index_copy(0, rows, chosen.lerp(other, plain))


def _enlarged(cells: Tensor, size: int) -> Tensor:
    """(B, C, n, n) → (B, C, size, size) as bicubic interpolation does, first along one side and then along the other."""
    one = torch.eye(cells.shape[-1], device=cells.device, dtype=cells.dtype)[None, None]
    along = F.interpolate(one, size=(size, cells.shape[-1]), mode="bicubic", align_corners=False)[0, 0]
    return along @ cells @ along.T


def _reached_from_border(plain: Tensor) -> Tensor:
    """(B, 1, S, S) in 0..1: where plain colour is joined to the border. White print on a shirt is plain but not joined."""
    open_cells = F.adaptive_avg_pool2d(plain, CELLS) > 0.5
    reached = open_cells.clone()
    reached[:, :, 1:-1, 1:-1] = False
    for _ in range(2 * CELLS):
        before, reached = reached, _with_neighbours(reached) & open_cells
        if torch.equal(before, reached):
            break
    reached = _with_neighbours(reached)  # the cells at the outline are part subject
    return F.interpolate(reached.to(plain), size=plain.shape[-2:], mode="nearest")


def _with_neighbours(cells: Tensor) -> Tensor:
    """(B, 1, n, n) bool: the eight around each as well."""
    tall = cells.clone()
    tall[:, :, 1:] |= cells[:, :, :-1]
    tall[:, :, :-1] |= cells[:, :, 1:]
    wide = tall.clone()
    wide[..., 1:] |= tall[..., :-1]
    wide[..., :-1] |= tall[..., 1:]
    return wide


def _photometry(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    def per_picture(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (len(images), channels, 1, 1))).to(images)

    gain = per_picture(1 - 0.4 * strength, 1 + 0.4 * strength) * per_picture(
        1 - 0.15 * strength, 1 + 0.15 * strength, 3
    )
    contrast = per_picture(1 - 0.4 * strength, 1 + 0.4 * strength)
    saturation = per_picture(1 - 0.4 * strength, 1 + 0.4 * strength)
    red, green, blue = images.split(1, 1)
    gray = (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
    mean = gray.mean((2, 3), keepdim=True)
    # gain · (mean + contrast · (saturated − mean)), where saturated = gray + saturation · (image − gray)
    level = torch.addcmul(mean * (1 - contrast), gray, contrast * (1 - saturation))
    return (level * gain).addcmul_(images, gain * contrast * saturation).clamp_(0, 255)


def _blur(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    rows = torch.from_numpy(np.flatnonzero(rng.random(len(images)) < 0.25 * strength)).to(images.device)
    if len(rows):
        soft = F.pad(images[rows], (2, 2, 2, 2), mode="reflect")
        for dim in (2, 3):
            shifted = [soft.narrow(dim, first, soft.shape[dim] - 4) for first in range(5)]
            soft = sum(shifted[1:], start=shifted[0]) / 5
        images = images.index_copy(0, rows, soft)
    return images


def _erase(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    size = images.shape[-1]
    for row in np.flatnonzero(rng.random(len(images)) < 0.5 * strength):
        height, width = rng.integers(size // 8, size // 3, 2)
        top, left = rng.integers(0, size - height), rng.integers(0, size - width)
        images[row, :, top : top + height, left : left + width] = float(rng.uniform(0, 255))
    return images
