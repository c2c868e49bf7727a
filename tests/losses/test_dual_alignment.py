"""Objective weights and routing terms: shares, extremes, and the trap that a learnt weight falls for the hardest objective."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from openmoon.config.posttrain import AlignmentConfig
from openmoon.losses.dual_alignment import (
    AlignmentMatrix,
    load_balance,
    objective_weights,
    sparsity,
    weight_balance,
)
from tests.losses.plain import assert_parity

EXPERTS, OBJECTIVES = 4, 5


def usage(seed: int = 0) -> Tensor:
    return torch.rand(OBJECTIVES, EXPERTS, generator=torch.Generator().manual_seed(seed)).softmax(1)


def gates(rows: int, seed: int = 0) -> Tensor:
    """(rows, EXPERTS), float64, rows sum to 1."""
    return torch.randn(rows, EXPERTS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).softmax(1)


def test_parity_of_weights_balance_and_sparsity_with_loops() -> None:
    """As functions of usage and of W*, forward and gradient."""
    logits = torch.randn(EXPERTS, OBJECTIVES, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def shares(logits: Tensor) -> list[list[Tensor]]:
        return [[logits[z, m].exp() / sum(logits[z, o].exp() for o in range(OBJECTIVES)) for m in range(OBJECTIVES)]
                for z in range(EXPERTS)]  # fmt: skip

    def plain_weights(used: Tensor, logits: Tensor) -> list[Tensor]:
        p = shares(logits)
        raw = [sum((used[m, z] * p[z][m] for z in range(EXPERTS)), torch.zeros(())) for m in range(OBJECTIVES)]
        return [OBJECTIVES * one / sum(raw) for one in raw]

    def plain_balance(used: Tensor, logits: Tensor) -> Tensor:
        return torch.stack([-one.log() / OBJECTIVES for one in plain_weights(used, logits)]).sum()[None]

    def plain_sparsity(logits: Tensor) -> Tensor:
        return torch.stack([-p * p.log() / EXPERTS for row in shares(logits) for p in row]).sum()[None]

    present = torch.ones(OBJECTIVES, dtype=torch.bool)
    assert_parity(lambda used, w: objective_weights(used, w.softmax(1)), lambda *both: torch.stack(plain_weights(*both)),
                  gates(OBJECTIVES), logits)  # fmt: skip
    assert_parity(lambda used, w: weight_balance(objective_weights(used, w.softmax(1)), present)[None], plain_balance,
                  gates(OBJECTIVES), logits)  # fmt: skip
    assert_parity(lambda w: sparsity(w.softmax(1))[None], plain_sparsity, logits)


def test_parity_of_load_balance_with_a_loop() -> None:
    """Every input counts alike in each layer; no gradient through the load."""
    probability, load = (gates(6 * 2, seed).view(6, 2, EXPERTS) for seed in (0, 1))

    def plain(probability: Tensor) -> Tensor:
        layers = []
        for layer in range(2):
            terms = []
            for z in range(EXPERTS):
                used = sum(load[b, layer, z] for b in range(6)) / 6
                terms.append(used * sum(probability[b, layer, z] for b in range(6)) / 6)
            layers.append(EXPERTS * sum(terms))
        return torch.stack(layers).mean()[None]

    assert_parity(lambda probability: load_balance(probability, load)[None], plain, probability)
    assert not load_balance(probability, load.requires_grad_()).requires_grad


def test_in_some_hundred_small_steps_experts_choose_and_no_objective_is_forgotten() -> None:
    """With the terms as posttrain.alignment has them and a rate of 0.001: W* must move, or all weights stay 1 for ever."""
    torch.manual_seed(0)
    matrix = AlignmentMatrix(EXPERTS, OBJECTIVES)
    terms = AlignmentConfig()
    optimizer = torch.optim.Adam(matrix.parameters(), lr=0.001)
    start = sparsity(matrix()).item()
    assert start > 0.99 * torch.tensor(OBJECTIVES).log()
    for _ in range(200):
        weights = objective_weights(usage(), matrix())
        guard = terms.weight_balance * weight_balance(weights, weights > 0) + terms.sparsity * sparsity(matrix())
        optimizer.zero_grad()
        guard.backward()
        optimizer.step()
    assert sparsity(matrix()).item() < 0.6 * start
    weights = objective_weights(usage(), matrix()).detach()
    assert weights.min() > 0.7
    assert (weights - 1).abs().max() > 0.01


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
        optimizer = torch.optim.Adam(matrix.parameters(), lr=0.002)
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
