"""Masks of pictures: connected regions, and what grows and shrinks at their outlines. A cell has four neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
_ROW = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]])  # neighbours of a cell: left and right


def along_rows(reached: Mask, free: Mask) -> Mask:
    """Spread `reached` (H, W) over the horizontal runs of `free` cells that it touches."""
    return _touched(reached, free, _ROW)


def spread(seed: Mask, free: Mask) -> Mask:
    """The cells of `free` (H, W) that are joined to a cell of `seed` over neighbours in rows and columns."""
    return _touched(seed, free)


def joined_to_border(free: Mask) -> Mask:
    """The cells of `free` (H, W) that are joined to the border of the picture."""
    border = np.zeros_like(free)
    border[[0, -1]], border[:, [0, -1]] = True, True
    return spread(border, free)


def one_region(mask: Mask) -> Mask:
    """The region of `mask` (H, W) that holds its thickest part; empty where `mask` is."""
    thickness = ndimage.distance_transform_cdt(np.pad(mask, 1), metric="taxicab")[1:-1, 1:-1]
    return spread(first_cell(mask & (thickness == thickness.max())), mask)


def first_cell(mask: Mask) -> Mask:
    """`mask` (H, W) with its first cell alone, in reading order; empty where `mask` is."""
    first = np.zeros_like(mask)
    if mask.any():
        first.flat[mask.argmax()] = True
    return first


def shrunk(mask: Mask, width: int) -> Mask:
    """The cells of `mask` (H, W) about which a square of `width` cells (odd) is filled, as far as it lies in the picture."""
    return ndimage.minimum_filter(mask, width, mode="nearest")


def grown(mask: Mask, width: int) -> Mask:
    """The cells of the picture about which a square of `width` cells (odd) meets `mask` (H, W)."""
    return ndimage.maximum_filter(mask, width, mode="nearest")


def _touched(seed: Mask, free: Mask, neighbours: npt.NDArray[np.int64] | None = None) -> Mask:
    region, count = ndimage.label(free, neighbours)
    touched = np.zeros(count + 1, bool)
    touched[region[seed & free]] = True
    return touched[region]
