"""Popularity leakage: near 1 where the vectors say it, near 0 where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from openmoon.ctr.probe import popularity_leakage

RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(600, 8))


def test_a_planted_signal_is_found() -> None:
    impressions = np.round(np.exp(8 + VECTORS @ np.linspace(0.5, -0.5, 8)))
    found = popularity_leakage(VECTORS, impressions)
    assert found is not None
    assert 0.99 < found <= 1


def test_noise_gives_nothing_away() -> None:
    found = popularity_leakage(VECTORS, RANDOM.integers(1, 1000, 600))
    assert found is not None
    assert -0.1 < found <= 0.1


def test_more_numbers_than_products_do_not_feign_a_signal() -> None:
    found = popularity_leakage(RANDOM.normal(size=(80, 200)), RANDOM.integers(1, 1000, 80))
    assert found is not None
    assert found < 0.2


def test_products_without_impressions_are_left_out() -> None:
    impressions = np.round(np.exp(8 + VECTORS[:, 0]))
    none = RANDOM.random(600) < 0.5
    with_nothing = np.where(none, 0, impressions)
    found = popularity_leakage(VECTORS, with_nothing)
    assert found == popularity_leakage(VECTORS[~none], impressions[~none])
    assert popularity_leakage(VECTORS[:, :2], np.where(np.arange(600) < 49, 5, 0)) is None


def test_products_that_are_all_shown_alike_have_no_leakage() -> None:
    assert popularity_leakage(VECTORS, np.full(600, 7)) is None


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_the_vectors_does_not_matter(scale: float) -> None:
    impressions = np.round(np.exp(5 + VECTORS[:, 0] + 0.5 * RANDOM.normal(size=600)) + 1)
    assert popularity_leakage(scale * VECTORS, impressions) == pytest.approx(popularity_leakage(VECTORS, impressions))
