from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from openmoon import space
from openmoon.errors import UserError
from openmoon.space import space_statistics
from openmoon.training.monitor import ENOUGH, check_alive


def test_known_spaces() -> None:
    basis = space_statistics(torch.eye(8))
    assert basis["mean_cosine"] == pytest.approx(0, abs=1e-6)
    assert basis["effective_rank"] == pytest.approx(8)
    one = space_statistics(F.normalize(torch.ones(5, 3), dim=1))
    assert one["mean_cosine"] == pytest.approx(1)
    assert one["effective_rank"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (3, 3)])
def test_effective_rank_against_singular_values(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    monkeypatch.setattr(space, "ROWS", 16)
    vectors = F.normalize(torch.randn(shape, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, shape[1] + 1), dim=1)
    share = torch.linalg.svdvals(vectors.double())
    share = share / share.sum()
    assert space.effective_rank(vectors) == pytest.approx(float((-(share * share.log()).sum()).exp()), rel=1e-9)


def test_mean_cosine_and_uniformity_against_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "ROWS", 4)  # the nine rows meet the others in three parts
    vectors = F.normalize(torch.randn(9, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    pairs = [float(vectors[i] @ vectors[j]) for i in range(9) for j in range(9) if i != j]
    assert space_statistics(vectors)["mean_cosine"] == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)
    near = [math.exp(-2 * float((a - b).square().sum())) for i, a in enumerate(vectors) for j, b in enumerate(vectors) if i != j]
    assert space_statistics(vectors)["uniformity"] == pytest.approx(math.log(sum(near) / len(near)), abs=1e-5)


@pytest.mark.parametrize(("cosine", "rank"), [(0.999, 20.0), (0.3, 1.0)])
def test_collapse_stops_the_run(cosine: float, rank: float) -> None:
    with pytest.raises(UserError, match="pretrain, step 7: the vectors collapsed"):
        check_alive({"mean_cosine": cosine, "effective_rank": rank}, ENOUGH, "pretrain", 7)
    check_alive({"mean_cosine": 0.3, "effective_rank": 20.0}, ENOUGH, "pretrain", 7)


def test_few_vectors_say_nothing_of_a_collapse() -> None:
    """A small batch of one bestseller, or of three products."""
    check_alive({"mean_cosine": 1.0, "effective_rank": 1.0}, ENOUGH - 1, "pretrain", 7)
