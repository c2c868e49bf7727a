"""Objective weights and routing terms: shares, extremes, and the trap that a learnt weight falls for the hardest objective."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from openmoon.losses.dual_alignment import (
    AlignmentMatrix,
    load_balance,
    objective_weights,
    sparsity,
    weight_balance,
)

EXPERTS, OBJECTIVES = 4, 5


def usage(seed: int = 0) -> Tensor:
    return torch.rand(OBJECTIVES, EXPERTS, generator=torch.Generator().manual_seed(seed)).softmax(1)


@given(seed=st.integers(0, 50))
def test_weights_are_positive_and_share_the_number_of_objectives(seed: int) -> None:
    served = torch.randn(EXPERTS, OBJECTIVES, generator=torch.Generator().manual_seed(seed)).mul(3).softmax(1)
    weights = objective_weights(usage(seed), served)
    assert weights.sum().item() == pytest.approx(OBJECTIVES, rel=1e-5)
    assert (weights > 0).all()
    expected = torch.stack([sum(usage(seed)[m, z] * served[z, m] for z in range(EXPERTS)) for m in range(OBJECTIVES)])
    torch.testing.assert_close(weights, OBJECTIVES * expected / expected.sum())


def test_an_absent_objective_counts_nothing() -> None:
    some = usage()
    some[2] = 0
    weights = objective_weights(some, torch.full((EXPERTS, OBJECTIVES), 1 / OBJECTIVES))
    assert weights.tolist() == pytest.approx([1.25, 1.25, 0, 1.25, 1.25])
    assert weight_balance(weights, weights > 0).item() == pytest.approx(0, abs=1e-6)


def test_no_weight_collapses_where_the_naive_form_lets_the_hardest_fall() -> None:
    """Losses that stay what they are, one of them ten times the others: what happens to its weight in 400 steps?"""
    losses = torch.tensor([1.0, 1.0, 1.0, 1.0, 10.0])
    found = {}
    for naive in (True, False):
        torch.manual_seed(0)
        matrix = AlignmentMatrix(EXPERTS, OBJECTIVES)
        optimizer = torch.optim.Adam(matrix.parameters(), lr=0.05)
        for _ in range(400):
            weights = objective_weights(usage(), matrix())
            guard = 0.0 if naive else 0.1 * weight_balance(weights, weights > 0) + 0.01 * sparsity(matrix())
            loss = ((weights if naive else weights.detach()) * losses).sum() + guard
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found[naive] = objective_weights(usage(), matrix()).detach()
    assert found[True][4] < 0.05
    assert found[False].min() > 0.5


def test_sparsity_is_the_mean_entropy() -> None:
    assert sparsity(torch.full((EXPERTS, OBJECTIVES), 1 / OBJECTIVES)).item() == pytest.approx(
        torch.tensor(OBJECTIVES).log().item()
    )
    assert sparsity(torch.eye(5)).item() == pytest.approx(0)


def test_load_balance_is_one_when_even_and_the_number_of_experts_when_one_does_all() -> None:
    even = torch.full((6, 2, EXPERTS), 1 / EXPERTS)
    assert load_balance(even, even).item() == pytest.approx(1)
    alone = torch.zeros(6, 2, EXPERTS)
    alone[..., 1] = 1
    assert load_balance(alone, alone).item() == pytest.approx(EXPERTS)
