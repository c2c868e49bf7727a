"""The ceilings: right on cases worked out by hand, sane on a shop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from openmoon.data.sample import ShopSummary
from openmoon.data.sample.ceilings import auc, oracle_recall
from openmoon.data.sample.latent import latent_space

COLOURS = ["red", "red", "blue", "blue"]
KINDS = ["boot", "hat", "boot", "boot"]
SPACE = latent_space({"type": KINDS, "colour": COLOURS}, {}, {"type": 0.6, "colour": 0.4})


def test_a_query_that_names_one_product_is_found() -> None:
    assert oracle_recall(SPACE, np.array([0]), np.array([[True, True]])) == {"R@1": 1.0, "R@5": 1.0, "R@10": 1.0}


def test_ties_count_by_lot() -> None:
    named = np.array([[True, True], [True, False]])
    found = oracle_recall(SPACE, np.array([2, 0]), named)  # blue boots: 2 of them; boots: 3 of them
    assert found["R@1"] == pytest.approx((1 / 2 + 1 / 3) / 2, abs=1e-4)
    assert found["R@5"] == 1.0


def test_other_right_answers_to_the_same_text_are_left_out() -> None:
    named = np.array([[True, True], [True, True]])
    assert oracle_recall(SPACE, np.array([2, 3]), named, ["blue boots", "blue boots"])["R@1"] == 1.0
    assert oracle_recall(SPACE, np.array([2, 3]), named, ["blue boots", "boots in blue"])["R@1"] == 0.5


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=60))
def test_auc_is_that_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    score, label = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    if label.all() or not label.any():
        assert auc(score, label) is None
    else:
        assert auc(score, label) == pytest.approx(roc_auc_score(label, score), abs=1e-4)


def test_the_shop_is_neither_solved_nor_a_lottery(shop: tuple[Path, ShopSummary]) -> None:
    _, summary = shop
    photo, text = summary.oracle["photo"], summary.oracle["text"]
    assert 0.85 < photo["R@1"] <= 1
    assert 0.2 < text["R@1"] < photo["R@1"]
    for found in (photo, text):
        assert found["R@1"] <= found["R@5"] <= found["R@10"] <= 1
    assert all(0.6 < value < 1 for value in summary.click_auc.values() if value is not None)
    assert "ceiling, photo query" in str(summary)
