"""Connected regions of masks in whole-array steps: a mask spreads along runs of rows and columns until nothing changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def along_rows(reached: Mask, free: Mask) -> Mask:
    """Spread `reached` (H, W) over the horizontal runs of `free` cells that it touches."""
    return _spread_in(_runs(free), reached, free)


def spread(seed: Mask, free: Mask) -> Mask:
    """The cells of `free` (H, W) that are joined to a cell of `seed` over neighbours in rows and columns."""
    upright = free.T.copy()
    rows, columns = _runs(free), _runs(upright)
    reached = seed & free
    count = -1
    while (now := int(np.count_nonzero(reached))) != count:
        count = now
        reached = _spread_in(rows, reached, free)
        reached = _spread_in(columns, reached.T, upright).T
    return reached


def joined_to_border(free: Mask) -> Mask:
    """The cells of `free` (H, W) that are joined to the border of the picture."""
    border = np.zeros_like(free)
    border[[0, -1]], border[:, [0, -1]] = True, True
    return spread(border, free)


def one_region(mask: Mask) -> Mask:
    """The region of `mask` (H, W) that holds its thickest part; empty where `mask` is."""
    left, thickest = mask, mask
    while left.any():
        thickest = left
        inner = np.zeros_like(left)
        inner[1:-1, 1:-1] = left[1:-1, 1:-1] & left[:-2, 1:-1] & left[2:, 1:-1] & left[1:-1, :-2] & left[1:-1, 2:]
        left = inner
    return spread(first_cell(thickest), mask)


def first_cell(mask: Mask) -> Mask:
    """`mask` (H, W) with its first cell alone, in reading order; empty where `mask` is."""
    first = np.zeros_like(mask)
    if mask.any():
        first.flat[mask.argmax()] = True
    return first


def _runs(free: Mask) -> npt.NDArray[np.int64]:
    """Number (H, W) of the horizontal run that each cell of `free` belongs to."""
    starts = np.pad(~free, ((0, 0), (1, 0)), constant_values=True)
    return np.cumsum(starts, dtype=np.int64).reshape(len(free), -1)[:, 1:]


def _spread_in(runs: npt.NDArray[np.int64], reached: Mask, free: Mask) -> Mask:
    touched = np.zeros(int(runs[-1, -1]) + 1, bool)
    touched[runs[reached & free]] = True
    return free & touched[runs]
