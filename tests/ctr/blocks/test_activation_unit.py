"""The folded, recomputed activation unit is an MLP on [b, t, b − t, b∘t]."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from openmoon.ctr.blocks import activation_unit
from openmoon.ctr.blocks.activation_unit import ActivationUnit
from tests.ctr.plain import assert_parity, drawn, filled


def explicit(unit: ActivationUnit, behaviours: Tensor, target: Tensor) -> Tensor:
    rows, length, candidates = len(behaviours), behaviours.shape[1], target.shape[1]
    b = behaviours[:, None].expand(rows, candidates, length, -1)
    t = target[:, :, None].expand(rows, candidates, length, -1)
    return unit.score(torch.relu(unit.first(torch.cat([b, t, b - t, b * t], -1))))[..., 0]


@pytest.mark.parametrize("cache", [1, 150, activation_unit.CACHE])
@pytest.mark.parametrize(("rows", "candidates", "length"), [(5, 3, 4), (1, 1, 6), (3, 2, 1)])
def test_parity_with_the_explicit_mlp(
    rows: int, candidates: int, length: int, cache: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activation_unit, "CACHE", cache)
    unit = filled(ActivationUnit(3, 5))
    assert_parity(unit, lambda b, t: explicit(unit, b, t), drawn(rows, length, 3), drawn(rows, candidates, 3, seed=1),
                  module=unit)  # fmt: skip


@pytest.mark.parametrize(("rows", "length"), [(4, 0), (0, 3)])
def test_nothing_to_score_gives_nothing(rows: int, length: int) -> None:
    unit = filled(ActivationUnit(3, 5))
    behaviours, target = drawn(rows, length, 3).requires_grad_(), drawn(rows, 2, 3).requires_grad_()
    scores = unit(behaviours, target)
    assert scores.shape == (rows, 2, length)
    scores.sum().backward()
    assert target.grad is not None
    assert not target.grad.any()


def test_inputs_of_the_backward_pass_are_left_as_they_were() -> None:
    """The backward pass works in place on what it makes, never on what it was given."""
    unit, behaviours, target = filled(ActivationUnit(3, 5)), drawn(2, 4, 3).requires_grad_(), drawn(2, 3, 3)
    scores = unit(behaviours, target)
    weight = drawn(*scores.shape, seed=2)
    kept = weight.clone()
    (once,) = torch.autograd.grad(scores, behaviours, weight, retain_graph=True)
    (twice,) = torch.autograd.grad(scores, behaviours, weight)
    torch.testing.assert_close(once, twice, rtol=0, atol=0)
    torch.testing.assert_close(weight, kept, rtol=0, atol=0)
