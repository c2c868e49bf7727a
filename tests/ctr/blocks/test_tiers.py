"""SimTier against numpy's histogram, pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from openmoon.ctr.blocks.tiers import TierEmbedding, tier_counts
from tests.ctr.plain import assert_parity, drawn, filled


@pytest.mark.parametrize("tiers", [2, 5, 20])
def test_counts_are_numpys_histograms(tiers: int) -> None:
    similarity = torch.tanh(drawn(4, 3, 40))
    mask = drawn(4, 40, seed=1) > 0
    mask[3] = False
    found = tier_counts(similarity, mask, tiers)
    for r in range(4):
        for k in range(3):
            seen = similarity[r, k][mask[r]].numpy()
            expected, _ = np.histogram(seen, tiers, range=(-1, 1))
            assert found[r, k].tolist() == expected.tolist()


def test_cosines_a_little_beyond_one_count_at_the_ends() -> None:
    similarity = torch.tensor([[[-1.000001, -1.0, 0.0, 1.0, 1.000001]]])
    assert tier_counts(similarity, torch.ones(1, 5, dtype=torch.bool), 4).tolist() == [[[2, 0, 1, 2]]]


def test_embedding_scales_each_tier_by_the_logarithm() -> None:
    embed = filled(TierEmbedding(4, 3))
    counts = torch.arange(24).view(2, 3, 4).double()

    def plain(counts: Tensor) -> Tensor:
        each = [torch.log(counts[r, k, t] + 1) * embed.weight[t] for r in range(2) for k in range(3) for t in range(4)]
        return torch.cat(each).view(2, 3, 12)

    assert_parity(embed, plain, counts, module=embed)
