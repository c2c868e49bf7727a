"""Outlines in the unit square (x right, y down) and the parts that a drawn product is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """One piece of a product, drawn over the earlier pieces.

    outline: (n, 2) points in the unit square. role: what colours it (`main` carries the pattern, `second` the second
    colour; `trim`, `dark`, `light`, `metal`, `glass`, `glow` are plain). relief: how round it looks, 0 = flat.
    width: 0 fills the outline, else the outline is a stroke of this width.
    """

    outline: np.ndarray
    role: str = "main"
    relief: float = 1.0
    width: float = 0.0


def smooth(points: Sequence[Point] | np.ndarray, rounds: int = 3, closed: bool = True) -> np.ndarray:
    """Cut corners (Chaikin 1974) until the polygon looks like a curve; a point given twice stays a corner."""
    outline = np.asarray(points, dtype=float)
    for _ in range(rounds):
        start, end = (outline, np.roll(outline, -1, axis=0)) if closed else (outline[:-1], outline[1:])
        cut = np.stack([0.75 * start + 0.25 * end, 0.25 * start + 0.75 * end], axis=1).reshape(-1, 2)
        outline = cut if closed else np.concatenate([outline[:1], cut, outline[-1:]])
    return outline


def mirrored(*half: Point, rounds: int = 3, centre: float = 0.5) -> np.ndarray:
    """A silhouette symmetric about `x = centre`, from (half width, y) points given from top to bottom."""
    right = np.array([(centre + w, y) for w, y in half])
    left = np.array([(centre - w, y) for w, y in reversed(half)])
    return smooth(np.concatenate([right, left]), rounds)


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> np.ndarray:
    """A rectangle, with rounded corners if `radius` > 0."""
    if radius <= 0:
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    angles = np.linspace(0, np.pi / 2, 6)
    corners = (
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 1),
        (left + radius, top + radius, 2),
        (right - radius, top + radius, 3),
    )
    return np.concatenate(
        [
            np.stack([x + radius * np.cos(angles + q * np.pi / 2), y + radius * np.sin(angles + q * np.pi / 2)], axis=1)
            for x, y, q in corners
        ]
    )


def ellipse(x: float, y: float, rx: float, ry: float, start: float = 0.0, end: float = 360.0) -> np.ndarray:
    """Points on an ellipse, or on its arc from `start` to `end` degrees (0 = right, 90 = down)."""
    angles = np.radians(np.linspace(start, end, 40))
    return np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], axis=1)


def flipped(outline: np.ndarray, centre: float = 0.5) -> np.ndarray:
    """The mirror image about `x = centre`."""
    return np.stack([2 * centre - outline[:, 0], outline[:, 1]], axis=1)
