"""The linear probe against ridge regression written out, leaving one out by really leaving it out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from openmoon.evaluation.benchmark import probe
from openmoon.evaluation.benchmark.probe import PENALTIES, linear_probe


def ridge(train: np.ndarray, labels: np.ndarray, test: np.ndarray, penalty: float) -> np.ndarray:
    """Scores (m, classes): ridge with an intercept that is not penalised, the normal equations solved."""
    wanted = np.eye(labels.max() + 1)[labels]
    mean, rest = train.mean(0), wanted.mean(0)
    x = train - mean
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (wanted - rest))
    return (test - mean) @ weights + rest


def right_without(train: np.ndarray, labels: np.ndarray, i: int, penalty: float) -> bool:
    """Whether ridge without row i, its intercept free, gets row i right."""
    others = np.arange(len(train)) != i
    x = np.column_stack([train[others], np.ones(others.sum())])
    penalties = np.diag([penalty] * train.shape[1] + [0.0])
    weights = np.linalg.solve(x.T @ x + penalties, x.T @ np.eye(labels.max() + 1)[labels[others]])
    return bool((np.append(train[i], 1.0) @ weights).argmax() == labels[i])


def noisy(rng: np.random.Generator, n: int, d: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    return rng.normal(size=(n, d)) + 0.8 * np.eye(classes, d)[labels], labels


def scale(train: np.ndarray) -> float:
    strength = np.linalg.svd(train - train.mean(0), compute_uv=False) ** 2
    return strength[strength > 1e-10 * strength[0]].mean()


@pytest.mark.parametrize(("n", "d"), [(40, 6), (12, 30)], ids=["tall", "wide"])
def test_answers_and_choice_of_penalty_are_those_of_plain_ridge(n: int, d: int) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        train, labels = noisy(rng, n, d)
        test = rng.normal(size=(50, d))
        rows = range(n)
        left_out = [sum(right_without(train, labels, i, penalty * scale(train)) for i in rows) for penalty in PENALTIES]
        best = PENALTIES[int(np.argmax(left_out))] * scale(train)
        expected = ridge(train, labels, test, best).argmax(1)
        np.testing.assert_array_equal(linear_probe(train, labels, [test[:7], test[7:]]), expected)


def test_separable_classes_are_learnt_and_the_scale_of_vectors_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 16))
    labels = np.repeat(np.arange(4), 10)
    vectors = centres[labels] + 0.05 * rng.normal(size=(40, 16))
    asked = centres + 0.05 * rng.normal(size=(4, 16))
    for factor in (1e-4, 1.0, 1e4):
        np.testing.assert_array_equal(linear_probe(factor * vectors + 3, labels, [factor * asked + 3]), np.arange(4))


def test_turning_all_vectors_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    train, labels = noisy(rng, 60, 8)
    test = rng.normal(size=(30, 8))
    turn, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    np.testing.assert_array_equal(linear_probe(train, labels, [test]), linear_probe(train @ turn, labels, [test @ turn]))


def test_vectors_that_say_nothing_give_the_majority() -> None:
    train, labels = np.ones((9, 5)), np.array([0, 1, 1, 1, 1, 2, 1, 1, 0])
    np.testing.assert_array_equal(linear_probe(train, labels, [np.ones((3, 5))]), [1, 1, 1])


def test_left_out_accuracy_never_looks_at_the_row_itself() -> None:
    """Random labels on more axes than rows: fitted accuracy is 1, left-out accuracy is about chance."""
    rng = np.random.default_rng(2)
    train, labels = torch.from_numpy(rng.normal(size=(200, 400))), torch.from_numpy(rng.integers(0, 2, 200))
    train -= train.mean(0)
    wanted = torch.nn.functional.one_hot(labels).double()
    axes, strength = probe._principal_axes(train)
    seen = train @ axes
    target = seen.T @ (wanted - wanted.mean(0))
    assert probe._left_out_accuracy(seen, strength, target, wanted, wanted.mean(0), 1e-3) < 0.65
