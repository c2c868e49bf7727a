"""Another viewpoint on a cut-out: mild rotation, scale and perspective. Never a mirror image: it would mirror letters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from openmoon.data.coaugment.cutout import Cutout
from openmoon.data.perspective import perspective

Corners = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]

ROOM = 0.02  # of the picture's side, between the subject and the picture's edge


class Viewpoint(NamedTuple):
    """`angle` in degrees, `scale` of the subject's size, `tilt` (x, y) of the far side's length, `shift` (x, y) in −1..1 of the
    room that the subject has."""

    angle: float = 0.0
    scale: float = 1.0
    tilt: tuple[float, float] = (0.0, 0.0)
    shift: tuple[float, float] = (0.0, 0.0)


STRAIGHT = Viewpoint()


def draw_viewpoint(rng: np.random.Generator) -> Viewpoint:
    """A mild viewpoint: up to ±9°, 72–108% of the size, the near side up to 9% longer and the far one as much shorter."""
    angle, scale = rng.uniform(-9, 9), rng.uniform(0.72, 1.08)
    tilt, shift = rng.uniform(-0.09, 0.09, 2), rng.uniform(-0.9, 0.9, 2)
    rounded = [round(float(value), 4) for value in (angle, scale, *tilt, *shift)]
    return Viewpoint(rounded[0], rounded[1], (rounded[2], rounded[3]), (rounded[4], rounded[5]))


def seen_from(cutout: Cutout, view: Viewpoint) -> Cutout:
    """The cut-out under `view`, at the same size; the same arrays for a view that changes nothing.

    The subject stays in the picture, and a side at which it ran out of the picture stays at, or beyond, the edge.
    """
    height, width = cutout.cover.shape
    corners = corners_seen(view, (width, height), _box(cutout.cover), cutout.touches)
    source = _rectangle(0, 0, width, height)
    if np.abs(corners - source).max() < 1e-6:
        return cutout
    coefficients = perspective(corners, source)
    layers = np.dstack([cutout.light, cutout.cover * 255])
    moved = np.stack([
        np.asarray(Image.fromarray(layers[..., band]).transform(
            (width, height), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC))
        for band in range(4)
    ], 2)  # fmt: skip
    light, cover = np.clip(moved[..., :3], 0, 255), np.clip(moved[..., 3] / 255, 0, 1)
    return Cutout(light.astype(np.float32), cover.astype(np.float32), cutout.touches)


def corners_seen(view: Viewpoint, size: tuple[int, int], box: Box, touches: tuple[bool, bool, bool, bool]) -> Corners:
    """Where the picture's corners (4, 2) go: top left, top right, bottom right, bottom left, in pixels (x, y).

    `size` is (width, height), `box` the subject's left, top, right, bottom. A subject that runs out at opposite sides is
    only moved along the other axis.
    """
    if view == STRAIGHT:
        return _rectangle(0, 0, *size)
    top, right, bottom, left = touches
    held = ((left, right), (top, bottom))
    fixed = (left and right) or (top and bottom)
    if fixed:
        view = Viewpoint(shift=view.shift)
    corners = _tilted(view, size)
    subject = _through(corners, size, box)
    ends = [_extent(corners, subject, axis, held[axis]) for axis in (0, 1)]
    room = [side * (1 - ROOM * (2 - sum(held[axis]))) for axis, side in enumerate(size)]
    over = max((high - low) / space for (low, high), space in zip(ends, room, strict=True))
    if over > 1 and not fixed:  # too large: what fits
        corners = (corners - corners.mean(0)) / over + corners.mean(0)
        subject = _through(corners, size, box)
        ends = [_extent(corners, subject, axis, held[axis]) for axis in (0, 1)]
    for axis, ((low, high), side, hold) in enumerate(zip(ends, size, held, strict=True)):
        if all(hold):
            continue
        if any(hold):
            corners[:, axis] += -low if hold[0] else side - high
        else:
            space = max(0.0, room[axis] - (high - low))
            corners[:, axis] += (side - (high - low)) / 2 - low + space * view.shift[axis] / 2
    return corners


def _extent(corners: Corners, subject: Corners, axis: int, held: tuple[bool, bool]) -> tuple[float, float]:
    """From where to where the subject reaches along an axis; at a held side, the picture's own side is its end."""
    low_side, high_side = ((0, 3), (1, 2)) if axis == 0 else ((0, 1), (2, 3))
    low = corners[list(low_side), axis].max() if held[0] else subject[:, axis].min()
    high = corners[list(high_side), axis].min() if held[1] else subject[:, axis].max()
    return float(low), float(high)


def _tilted(view: Viewpoint, size: tuple[int, int]) -> Corners:
    """The picture's corners turned, scaled and tilted about its centre."""
    half = np.array(size) / 2
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    shorter = 1 - corners[:, 0] * view.tilt[0], 1 - corners[:, 1] * view.tilt[1]
    corners = np.stack([corners[:, 0] * shorter[1], corners[:, 1] * shorter[0]], 1) * half * view.scale
    angle = np.deg2rad(view.angle)
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    return np.asarray(corners @ turn + half)


def _through(corners: Corners, size: tuple[int, int], box: Box) -> Corners:
    """Where the corners of `box` go when the picture's go to `corners`."""
    a, b, c, d, e, f, g, h = perspective(_rectangle(0, 0, *size), corners)
    x, y = _rectangle(*box).T
    scale = g * x + h * y + 1
    return np.stack([(a * x + b * y + c) / scale, (d * x + e * y + f) / scale], 1)


def _rectangle(left: float, top: float, right: float, bottom: float) -> Corners:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)


def _box(cover: npt.NDArray[np.float32]) -> Box:
    rows, columns = np.flatnonzero((cover > 0.5).any(1)), np.flatnonzero((cover > 0.5).any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
