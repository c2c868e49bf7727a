"""DIN's activation unit against its plain form, in float64."""

from __future__ import annotations

import pytest
import torch

from openmoon.ctr.blocks import activation_unit
from openmoon.ctr.blocks.activation_unit import ActivationUnit


def plain(unit: ActivationUnit, behaviours: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The MLP over [b, t, b − t, b∘t] of every pair, whole in memory."""
    b, t = torch.broadcast_tensors(behaviours[:, None], target[:, :, None])
    return unit.score(torch.relu(unit.first(torch.cat([b, t, b - t, b * t], -1)))).squeeze(-1)


@pytest.mark.parametrize("keep", [0, 1 << 24], ids=["made again", "kept"])
@pytest.mark.parametrize("cache", [1, 130, 1000, 1 << 20], ids=["pair by pair", "parts of rows", "few rows", "at once"])
@pytest.mark.parametrize("shape", [(5, 3, 7), (6, 1, 4), (2, 4, 1), (1, 12, 60)])
def test_scores_and_gradients_are_those_of_the_plain_form(
    shape: tuple[int, int, int], cache: int, keep: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activation_unit, "CACHE", cache)
    monkeypatch.setattr(activation_unit, "KEEP", keep)
    torch.manual_seed(0)
    rows, candidates, length = shape
    unit = ActivationUnit(6, 5).double()
    inputs = [torch.randn(rows, n, 6, dtype=torch.float64, requires_grad=True) for n in (length, candidates)]
    weight = torch.randn(rows, candidates, length, dtype=torch.float64)
    found = []
    for score in (unit, lambda *both: plain(unit, *both)):
        value = score(*inputs)
        found.append([value, *torch.autograd.grad((value * weight).sum(), [*inputs, *unit.parameters()])])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


def test_rows_without_behaviours_are_no_trouble() -> None:
    unit = ActivationUnit(6, 5)
    behaviours, target = torch.randn(3, 0, 6, requires_grad=True), torch.randn(3, 2, 6, requires_grad=True)
    scores = unit(behaviours, target)
    scores.sum().backward()
    assert scores.shape == (3, 2, 0)
    assert target.grad is not None
    assert not target.grad.any()


def test_gradients_can_be_taken_twice() -> None:
    unit = ActivationUnit(6, 5)
    scores = unit(torch.randn(3, 4, 6), torch.randn(3, 2, 6)).sum()
    first, again = (torch.autograd.grad(scores, unit.first.weight, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, again)
