"""Metrics against scikit-learn, with many ties, and their undefined cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from openmoon.ctr.metrics import GroupAucs, auc, calibration, group_aucs, interval, log_loss, pcoc

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=60)


@given(ROWS)
def test_aucs_are_those_of_scikit_learn(rows: list[tuple[int, int, int]]) -> None:
    labels, scores, groups = (np.array(column) for column in zip(*rows, strict=True))
    scores = (scores / 7).astype(np.float32)
    found = group_aucs(labels.astype(np.float32), scores, groups, 5)
    assert found.rows.tolist() == np.bincount(groups, minlength=5).tolist()
    whole = auc(labels.astype(np.float32), scores)
    assert whole == (pytest.approx(roc_auc_score(labels, scores)) if len(set(labels)) == 2 else None)
    defined, weights = [], []
    for group in range(5):
        own = groups == group
        if len(set(labels[own])) < 2:
            assert np.isnan(found.auc[group])
        else:
            defined.append(roc_auc_score(labels[own], scores[own]))
            weights.append(own.sum())
            assert found.auc[group] == pytest.approx(defined[-1])
    assert found.mean() == (pytest.approx(np.average(defined, weights=weights)) if defined else None)


def test_gauc_weighs_by_all_impressions_of_a_shopper() -> None:
    labels = np.array([1, 0, 1, 0, 0, 0, 1])
    scores = np.array([0.9, 0.1, 0.1, 0.9, 0.9, 0.9, 0.5])
    found = group_aucs(labels, scores, np.array([0, 0, 1, 1, 1, 1, 2]), 3)
    assert found.mean() == pytest.approx(2 / 6)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_auc(label: int) -> None:
    assert auc(np.full(3, label), np.arange(3.0)) is None
    assert group_aucs(np.full(3, label), np.arange(3.0), np.array([0, 1, 1]), 2).mean() is None


def test_no_rows_have_no_metrics() -> None:
    nothing = np.zeros(0)
    for metric in (auc, log_loss, pcoc, calibration):
        assert metric(nothing, nothing) is None


def test_order_of_the_rows_does_not_matter() -> None:
    random = np.random.default_rng(0)
    labels, scores, groups = random.integers(0, 2, 200), random.integers(0, 9, 200) / 9, random.integers(0, 7, 200)
    order = random.permutation(200)
    one, other = group_aucs(labels, scores, groups, 7), group_aucs(labels[order], scores[order], groups[order], 7)
    np.testing.assert_array_equal(one.auc, other.auc)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.001, 0.999)), min_size=1, max_size=40))
def test_log_loss_is_that_of_scikit_learn(rows: list[tuple[bool, float]]) -> None:
    labels, p = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    assert log_loss(labels, p) == pytest.approx(sklearn_log_loss(labels, p, labels=[0, 1]))


def test_log_loss_of_certainty_is_large_but_finite() -> None:
    assert log_loss(np.array([1.0]), np.array([0.0], np.float32)) == pytest.approx(-np.log(1e-7))
    assert log_loss(np.array([1.0, 0.0]), np.array([1.0, 0.0], np.float32)) == pytest.approx(0, abs=1e-6)


def test_pcoc_is_predicted_over_observed() -> None:
    assert pcoc(np.array([1.0, 0, 0, 1]), np.array([0.5, 0.5, 0.5, 1.5])) == pytest.approx(1.5)
    assert pcoc(np.zeros(2), np.ones(2)) is None


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=90))
def test_calibration_keeps_every_row(rows: list[tuple[bool, float]]) -> None:
    labels, p = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    found = calibration(labels, p, bins=20)
    assert found is not None
    assert sum(found.rows) == len(rows)
    assert max(found.rows) - min(found.rows) <= 1
    assert len(found.rows) == min(20, len(rows))
    assert np.dot(found.rows, found.observed) == pytest.approx(labels.sum())
    assert np.dot(found.rows, found.predicted) == pytest.approx(p.sum())
    assert (np.diff(found.predicted) >= -1e-12).all()


def test_calibration_error_is_the_mean_gap() -> None:
    found = calibration(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.3, 0.6, 0.8]), bins=2)
    assert found is not None
    assert (found.predicted, found.observed) == (pytest.approx([0.2, 0.7]), [0, 1])
    assert found.error == pytest.approx((0.2 + 0.3) / 2)


@pytest.mark.parametrize("compared", [False, True])
def test_interval_holds_the_mean_and_is_the_same_every_time(compared: bool) -> None:
    random = np.random.default_rng(1)
    values, rows = random.random(200), random.integers(2, 40, 200)
    values[:20] = np.nan
    groups, other = GroupAucs(values, rows), GroupAucs(values - 0.1, rows) if compared else None
    found = interval(groups, other)
    assert found == interval(groups, other)
    assert found is not None
    low, high = found
    mean = groups.mean()
    assert mean is not None
    if compared:
        assert (low, high) == (pytest.approx(0.1), pytest.approx(0.1))
    else:
        assert low < mean < high
        defined = values[20:]
        spread = np.std(defined) / len(defined) ** 0.5
        assert 2 * 1.96 * spread * 0.8 < high - low < 2 * 1.96 * spread * 1.6


def test_interval_needs_two_shoppers() -> None:
    assert interval(GroupAucs(np.array([0.5, np.nan]), np.array([3, 3]))) is None
