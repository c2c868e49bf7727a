"""Expected metrics equal the average over every order of the ties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmoon.evaluation.metrics import METRICS, chance_metrics, expected_metrics

counts = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=20)


def by_enumeration(instances):
    """Every tied place in turn, one rank at a time."""
    gains = {
        "recall@1": lambda r: r <= 1,
        "recall@5": lambda r: r <= 5,
        "recall@10": lambda r: r <= 10,
        "mrr": lambda r: 1 / r,
        "ndcg@10": lambda r: 1 / math.log2(r + 1) if r <= 10 else 0,
    }
    means = {
        name: np.mean([np.mean([gain(r) for r in range(g + 1, g + t + 2)]) for g, t in instances])
        for name, gain in gains.items()
    }
    return means | {"median_rank": np.median([np.mean(range(g + 1, g + t + 2)) for g, t in instances])}


@given(counts)
def test_equals_enumeration(instances):
    better, ties = np.array(instances).T
    assert expected_metrics(better, ties) == pytest.approx(by_enumeration(instances))


@given(counts)
def test_bounds_and_order(instances):
    found = expected_metrics(*np.array(instances).T)
    assert list(found) == list(METRICS)
    assert 0 <= found["recall@1"] <= found["recall@5"] <= found["recall@10"] <= 1
    assert found["recall@1"] - 1e-12 <= found["ndcg@10"] <= found["recall@10"] + 1e-12
    assert found["mrr"] >= found["recall@1"] - 1e-12


@given(st.integers(1, 500))
def test_chance(pool):
    found = chance_metrics(np.array([pool]))
    assert found["recall@10"] == pytest.approx(min(10, pool) / pool)
    assert found["mrr"] == pytest.approx(sum(1 / r for r in range(1, pool + 1)) / pool)
    assert found["median_rank"] == (pool + 1) / 2


@pytest.mark.parametrize(("better", "ties"), [([], []), ([1], [1, 2])])
def test_refuses_no_instances_and_unequal_lengths(better, ties):
    with pytest.raises(ValueError, match="non-empty"):
        expected_metrics(np.array(better), np.array(ties))
