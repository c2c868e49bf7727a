"""Light on a scene: exposure, colour temperature, and the soft shadow of a subject on what is behind it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Floats = npt.NDArray[np.float32]


class Light(NamedTuple):
    """`exposure` multiplies all light, `warmth` adds this share to red and takes it from blue; the shadow falls `shadow_x`,
    `shadow_y` (of the shorter side) away and takes `shadow` of the light."""

    exposure: float = 1.0
    warmth: float = 0.0
    shadow: float = 0.0
    shadow_x: float = 0.0
    shadow_y: float = 0.0


def draw_light(rng: np.random.Generator) -> Light:
    """Mild light: 82–114% exposure, ±6% of warmth, a shadow in three of four pictures."""
    shadow = rng.uniform(0.1, 0.4) if rng.random() < 0.75 else 0.0
    values = (rng.uniform(0.82, 1.14), rng.uniform(-0.06, 0.06), shadow, rng.uniform(-0.03, 0.03), rng.uniform(0.01, 0.04))
    return Light(*(round(float(value), 4) for value in values))


def lit(scene: Floats, light: Light) -> Floats:
    """The scene (H, W, 3) under this exposure and colour temperature, in 0–255; unchanged under none."""
    gains = np.array([1 + light.warmth, 1, 1 - light.warmth], np.float32) * np.float32(light.exposure)
    return np.clip(scene * gains, 0, 255)


def shaded(background: Floats, cover: Floats, light: Light) -> Floats:
    """The background (H, W, 3) with the shadow of the subject whose part of each pixel is `cover` (H, W)."""
    if not light.shadow:
        return background
    height, width = cover.shape
    side = min(height, width)
    solid = Image.fromarray((cover * 255).round().astype(np.uint8))
    away = (1, 0, -light.shadow_x * side, 0, 1, -light.shadow_y * side)
    fallen = solid.transform((width, height), Image.Transform.AFFINE, away, Image.Resampling.BILINEAR)
    soft = np.asarray(fallen.filter(ImageFilter.GaussianBlur(0.03 * side)), np.float32)
    return (background * (1 - light.shadow / 255 * soft[..., None])).astype(np.float32)
