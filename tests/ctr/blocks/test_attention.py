"""Attention against loops over rows, candidates and behaviours."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from openmoon.ctr.blocks.attention import ChosenActivation, LocalActivation, weigh
from tests.ctr.plain import assert_parity, drawn, filled

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)


def score(unit: torch.nn.Module, b: Tensor, t: Tensor) -> Tensor:
    return unit.score(torch.relu(unit.first(torch.cat([b, t, b - t, b * t]))))[0]


def test_local_activation_adds_up_scored_behaviours() -> None:
    block = filled(LocalActivation(3, 5))

    def plain(behaviours: Tensor, target: Tensor) -> Tensor:
        found = [[sum((score(block.unit, behaviours[r, i], target[r, k]) * behaviours[r, i]
                       for i in range(4) if MASK[r, i]), torch.zeros(3).double())
                  for k in range(2)] for r in range(3)]  # fmt: skip
        return torch.stack([torch.stack(row) for row in found])

    assert_parity(lambda b, t: block(b, t, MASK), plain, drawn(3, 4, 3), drawn(3, 2, 3, seed=1), module=block)


def test_chosen_activation_takes_behaviours_per_candidate() -> None:
    block = filled(ChosenActivation(3, 5))
    mask = torch.stack([MASK, MASK.flip(0)], 1)

    def plain(behaviours: Tensor, target: Tensor) -> Tensor:
        each = [block.local(behaviours[:, k], target[:, k : k + 1], mask[:, k]) for k in range(2)]
        return torch.cat(each, 1)

    assert_parity(lambda b, t: block(b, t, mask), plain, drawn(3, 2, 4, 3), drawn(3, 2, 3, seed=1), module=block)


@pytest.mark.parametrize("per_candidate", [False, True])
def test_weigh_is_a_softmax_over_the_behaviours_there_are(per_candidate: bool) -> None:
    mask = torch.stack([MASK, MASK.flip(0)], 1) if per_candidate else MASK

    def plain(logits: Tensor, values: Tensor) -> Tensor:
        rows = []
        for r in range(3):
            for k in range(2):
                there = [i for i in range(4) if (mask[r, k, i] if per_candidate else mask[r, i])]
                total = sum(torch.exp(logits[r, k, i]) for i in there)
                parts = (torch.exp(logits[r, k, i]) / total * values[r, i] for i in there)
                rows.append(sum(parts, torch.zeros(3).double()))
        return torch.stack(rows).view(3, 2, 3)

    assert_parity(lambda logits, values: weigh(logits, mask, values), plain, 3 * drawn(3, 2, 4), drawn(3, 4, 3, seed=1))


def test_rows_without_behaviours_give_zeros_whatever_their_logits() -> None:
    logits = torch.full((3, 2, 4), 1e9, dtype=torch.float64)
    found = weigh(logits, MASK, drawn(3, 4, 3))
    assert not found[2].any()
    assert found[:2].any()
    assert not weigh(logits[..., :0], MASK[:, :0], drawn(3, 0, 3)).any()
