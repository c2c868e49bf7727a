"""Draws from lists of products."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from openmoon.data.lists import Lists, draw_places


@given(st.lists(st.integers(0, 60), max_size=20), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_no_place_comes_again_before_all_others_have_come(size: list[int], count: int, seed: int) -> None:
    for many, drawn in zip(size, draw_places(np.array(size, np.int64), count, np.random.default_rng(seed)), strict=True):
        times = np.bincount(drawn, minlength=max(many, 1))
        assert len(times) == max(many, 1)
        assert times.max() - times.min() <= 1


def test_places_are_equally_likely() -> None:
    drawn = draw_places(np.full(20_000, 7), 3, np.random.default_rng(0))
    assert np.abs(np.bincount(drawn.ravel()) / 20_000 - 3 / 7).max() < 0.015


def test_a_list_is_drawn_from_by_each_row_that_has_it() -> None:
    lists = Lists.group(np.array([1, 1, 2]), np.array([7, 8, 9]), 3, which=np.array([2, 0, 1, 1]))
    drawn = lists.draw(np.array([3, 1, 0, 2]), 2, np.random.default_rng(0))
    assert [sorted(row) for row in drawn.tolist()] == [[7, 8], [-1, -1], [9, 9], [7, 8]]
