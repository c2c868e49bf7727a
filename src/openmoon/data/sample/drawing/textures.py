"""What surfaces look like: printed patterns as a second colour's share per pixel, and materials as grain and gloss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

Field = np.ndarray  # (size, size) float32


def _soft(distance: Field) -> Field:
    """An antialiased edge: 1 where `distance` (pixels) is well below 0, 0 well above."""
    return np.clip(0.5 - distance, 0.0, 1.0)


def _stripes(u: Field, v: Field, period: float) -> Field:
    return _soft(np.abs(v % period - period / 2) - period / 4)


def _pinstripes(u: Field, v: Field, period: float) -> Field:
    return _soft(np.abs(u % period - period / 2) - period / 10)


def _checks(u: Field, v: Field, period: float) -> Field:
    return (_stripes(u, v, period) + _stripes(v, u, period)) / 2


def _dots(u: Field, v: Field, period: float) -> Field:
    row = np.floor(v / period)
    du, dv = (u + (row % 2) * period / 2) % period - period / 2, v % period - period / 2
    return _soft(np.hypot(du, dv) - period * 0.27)


def _flowers(u: Field, v: Field, period: float) -> Field:
    period = period * 1.5
    row = np.floor(v / period)
    du, dv = (u + (row % 2) * period / 2) % period - period / 2, v % period - period / 2
    radius = np.hypot(du, dv)
    petals = period * (0.24 + 0.13 * np.cos(5 * np.arctan2(dv, du) + row))
    return _soft(radius - petals) * (1 - _soft(radius - period * 0.09))


def _zigzag(u: Field, v: Field, period: float) -> Field:
    wave = v + np.abs(u % period - period / 2)
    return _soft(np.abs(wave % period - period / 2) - period / 4)


def _camouflage(u: Field, v: Field, period: float) -> Field:
    s = 2 * np.pi / (period * 2.2)
    blobs = np.sin(s * u + 1.3 * np.sin(0.6 * s * v)) + np.sin(s * v * 1.1 + 1.7 * np.sin(0.7 * s * u))
    return _soft((0.35 - blobs) * 4)


def _diamonds(u: Field, v: Field, period: float) -> Field:
    period = period * 1.4
    return _soft(np.abs(u % period - period / 2) + np.abs(v % period - period / 2) / 1.6 - period * 0.3)


PATTERNS: dict[str, Callable[[Field, Field, float], Field] | None] = {
    "plain": None,
    "striped": _stripes,
    "pinstriped": _pinstripes,
    "checked": _checks,
    "dotted": _dots,
    "floral": _flowers,
    "zigzag": _zigzag,
    "camouflage": _camouflage,
    "argyle": _diamonds,
}


def pattern(name: str, size: int, period: float, angle: float) -> Field | None:
    """The second colour's share, (size, size) in [0, 1]; None for plain. `period` in pixels, `angle` in radians."""
    draw = PATTERNS[name]
    if draw is None:
        return None
    x, y = np.meshgrid(np.arange(size, dtype=np.float32) - size / 2, np.arange(size, dtype=np.float32) - size / 2)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return draw(c * x + s * y, c * y - s * x, period)


@dataclass(frozen=True)
class Material:
    """grain: which texture. depth: its contrast. gloss: strength of the highlight. round: how fast light falls off."""

    grain: str
    depth: float
    gloss: float
    round: float = 1.0


MATERIALS: dict[str, Material] = {
    "cotton": Material("weave", 0.035, 0.0),
    "denim": Material("twill", 0.13, 0.0),
    "wool": Material("knit", 0.16, 0.0, 1.3),
    "linen": Material("fibre", 0.10, 0.0),
    "silk": Material("folds", 0.09, 0.35, 1.2),
    "canvas": Material("weave", 0.11, 0.0),
    "leather": Material("pores", 0.07, 0.3, 1.1),
    "suede": Material("fibre", 0.06, 0.0, 1.3),
    "nylon": Material("twill", 0.04, 0.2),
    "straw": Material("basket", 0.22, 0.0),
    "ceramic": Material("smooth", 0.0, 0.55, 1.1),
    "stoneware": Material("speckle", 0.2, 0.08),
    "steel": Material("brushed", 0.08, 0.75, 1.8),
    "plastic": Material("smooth", 0.0, 0.35),
    "glass": Material("smooth", 0.0, 0.9, 0.6),
    "wood": Material("wood", 0.17, 0.08),
    "velvet": Material("folds", 0.06, 0.08, 1.9),
    "rubber": Material("smooth", 0.0, 0.08),
}


@lru_cache(maxsize=64)
def grain(name: str, size: int) -> Field | None:
    """A (size, size) texture of mean 0 and range about [-1, 1]; the same in every process. None for smooth."""
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    random = np.random.default_rng(7)
    if name == "smooth":
        return None
    if name == "weave":
        return (
            np.where((x // 2 + y // 2) % 2 == 0, 1, -1).astype(np.float32) * 0.6 + _noise(random, size, size, 1) * 0.4
        )
    if name == "twill":
        return (np.sin((x + y) * 2 * np.pi / 5) * 0.7 + _noise(random, size, size, 1) * 0.5).astype(np.float32)
    if name == "knit":
        return (
            np.sin(y * 2 * np.pi / 7 + 1.6 * np.abs((x / 6) % 2 - 1) * np.pi) * np.abs(np.sin(x * np.pi / 6))
        ).astype(np.float32)
    if name == "basket":
        return (np.where((x // 7 + y // 5) % 2 == 0, np.sin(y * 1.25), np.sin(x * 0.9)) * 0.8).astype(np.float32)
    if name == "folds":
        return _noise(random, size // 10, size // 24, size)
    if name == "brushed":
        return _noise(random, 2, size, size) * 0.6
    if name == "wood":
        wave = _noise(random, 3, 8, size)
        return (np.sin(y * 0.55 + wave * 7) * 0.6 + _noise(random, size // 16, size, size) * 0.5).astype(np.float32)
    if name == "speckle":
        return np.where(_noise(random, size // 2, size // 2, size) > 0.62, -1.6, 0.15).astype(np.float32)
    cells = {"pores": size // 2, "fibre": size // 3}[name]
    return _noise(random, cells, cells, size)


def _noise(random: np.random.Generator, columns: int, rows: int, size: int) -> Field:
    """Smooth value noise with `rows` × `columns` cells over the picture; `size` = 1 means one cell per pixel."""
    cells = random.uniform(-1, 1, (max(rows, 2), max(columns, 2))).astype(np.float32)
    if size == 1:
        return cells
    return np.asarray(Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC))
