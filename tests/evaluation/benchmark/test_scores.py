"""Classification metrics against a plain loop over classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmoon.evaluation.benchmark.scores import class_scores, majority_scores

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


@given(PAIRS)
def test_scores_equal_a_plain_loop(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    precisions, recalls, f1s = [], [], []
    for wanted in sorted(set(truth.tolist())):
        hits = sum(t == p == wanted for t, p in pairs)
        given_ = sum(p == wanted for _, p in pairs)
        precision, recall = hits / given_ if given_ else 0.0, hits / sum(t == wanted for t, _ in pairs)
        precisions.append(precision)
        recalls.append(recall)
        f1s.append(2 * precision * recall / (precision + recall) if hits else 0.0)
    found = class_scores(truth, predicted)
    assert found.accuracy == pytest.approx(np.mean(truth == predicted))
    assert found.precision == pytest.approx(np.mean(precisions))
    assert found.recall == pytest.approx(np.mean(recalls))
    assert found.f1 == pytest.approx(np.mean(f1s))


@given(PAIRS)
def test_a_perfect_answer_is_one_everywhere(pairs: list[tuple[int, int]]) -> None:
    truth = np.array(pairs)[:, 0]
    assert set(class_scores(truth, truth).model_dump().values()) == {1.0}


def test_majority_is_what_the_train_part_says() -> None:
    found = majority_scores(np.array([1, 1, 0]), np.array([0, 0, 0, 1]))
    assert found.accuracy == 0.25
    assert found.recall == 0.5


def test_nothing_or_unequal_lengths_are_refused() -> None:
    for truth, predicted in (([], []), ([0], [0, 1])):
        with pytest.raises(ValueError, match="equally long"):
            class_scores(np.array(truth, int), np.array(predicted, int))
