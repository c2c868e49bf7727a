"""Regions equal what a plain flood fill finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from openmoon.data.regions import first_cell, joined_to_border, one_region, spread

masks = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def flood(seeds: np.ndarray, free: np.ndarray) -> np.ndarray:
    found = np.zeros_like(free)
    waiting = list(zip(*np.nonzero(seeds & free), strict=True))
    while waiting:
        y, x = waiting.pop()
        if 0 <= y < free.shape[0] and 0 <= x < free.shape[1] and free[y, x] and not found[y, x]:
            found[y, x] = True
            waiting += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    return found


@given(masks, st.integers(0, 2**32 - 1))
def test_spread_is_a_flood_fill(free: np.ndarray, seed: int) -> None:
    seeds = np.random.default_rng(seed).random(free.shape) < 0.1
    np.testing.assert_array_equal(spread(seeds, free), flood(seeds, free))
    border = np.ones_like(free)
    border[1:-1, 1:-1] = False
    np.testing.assert_array_equal(joined_to_border(free), flood(border, free))


@given(masks)
def test_one_region_is_joined_and_whole(mask: np.ndarray) -> None:
    region = one_region(mask)
    assert region.any() == mask.any()
    np.testing.assert_array_equal(region, flood(first_cell(region), mask))


def test_the_thickest_part_decides() -> None:
    mask = np.zeros((12, 12), bool)
    mask[0:2, :], mask[5:10, 5:10] = True, True
    np.testing.assert_array_equal(one_region(mask), flood(mask & (np.arange(12)[:, None] > 3), mask))
