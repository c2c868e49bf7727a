"""The filter's formula, and whether it tells planted wrong pairs from right ones."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from openmoon.training.contrast import Batch, Contrast
from openmoon.training.filtering import SampleFilter


def test_confidence_is_the_formula_over_unmasked_negatives() -> None:
    scores = torch.rand(4, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ignore = torch.zeros(4, 6, dtype=torch.bool)
    ignore[0, 3] = ignore[2, 2] = True
    found = SampleFilter(kappa=7.0, start=0.3, hardest=3).confidence(scores, torch.arange(4), ignore, progress=0.25)
    for i in range(4):
        negatives = sorted(scores[i, j].item() for j in range(6) if j != i and not ignore[i, j])[-3:]
        gap = scores[i, i].item() - sum(negatives) / len(negatives) - 0.15 * (1 + math.cos(math.pi / 4))
        assert found[i].item() == pytest.approx(1 / (1 + math.exp(-7 * gap)), rel=1e-5)


def test_a_pair_without_enough_negatives_is_held_against_those_there_are() -> None:
    scores, ignore = torch.tensor([[0.5, 0.3]]), torch.zeros(1, 2, dtype=torch.bool)
    found = SampleFilter(start=0).confidence(scores, torch.tensor([0]), ignore, 0)
    assert found.item() == pytest.approx(1 / (1 + math.exp(-10 * 0.2)))
    alone = SampleFilter(start=0).confidence(scores, torch.tensor([0]), ~ignore, 0)
    assert alone.item() == pytest.approx(1 / (1 + math.exp(-10 * 0.5)))


def test_the_threshold_falls_with_training() -> None:
    scores = torch.tensor([[0.15, 0.0], [0.0, 0.15]])
    ignore = torch.zeros(2, 2, dtype=torch.bool)
    found = [SampleFilter().confidence(scores, torch.arange(2), ignore, progress)[0].item() for progress in (0, 0.5, 1)]
    assert found == sorted(found)
    assert SampleFilter().weights(torch.tensor([0.3, 0.6, 0.9])).tolist() == pytest.approx([0.5, 1, 1])
    assert SampleFilter(rescale=True).weights(torch.tensor([0.3, 0.6, 0.9])).tolist() == pytest.approx([0.6, 1.2, 1.2])
    assert SampleFilter(rescale=True).weights(torch.zeros(3)).tolist() == [0, 0, 0]


def test_planted_wrong_pairs_lose_weight_and_carry_no_gradient_into_it() -> None:
    generator = torch.Generator().manual_seed(0)
    items = F.normalize(torch.randn(200, 64, generator=generator), dim=1)
    queries = F.normalize(items + 0.08 * torch.randn(200, 64, generator=generator), dim=1)
    wrong = torch.arange(200) < 40
    queries[wrong] = queries[wrong].roll(1, 0)
    batch = Batch(torch.arange(200)[None], torch.arange(200))
    contrast = Contrast(lambda: torch.tensor(0.1), (64,), filter=SampleFilter())
    found = contrast(queries, items, batch)
    assert found.confidence is not None
    dropped = found.confidence < 0.6
    precision, recall = (dropped & wrong).sum() / dropped.sum(), (dropped & wrong).sum() / wrong.sum()
    assert precision > 0.9
    assert recall > 0.9
    assert contrast.figures(found)["kept"] == pytest.approx((~dropped).float().mean().item())
    plain = Contrast(lambda: torch.tensor(0.1), (64,))(queries, items, batch).losses
    torch.testing.assert_close(found.losses, plain * (found.confidence / 0.6).clamp(max=1))
    assert not found.confidence.requires_grad
