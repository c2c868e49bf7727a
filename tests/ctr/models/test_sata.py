"""SA-TA's logits, entry by entry."""

from __future__ import annotations

import torch
from torch import Tensor

from openmoon.ctr.models.sata import SemanticAttention
from tests.ctr.plain import assert_parity, drawn, filled


def test_parity_with_the_formula() -> None:
    block = filled(SemanticAttention(3))

    def plain(target: Tensor, behaviours: Tensor, similarity: Tensor) -> Tensor:
        found = torch.zeros(2, 4, 5).double()
        for r, k, i in [(r, k, i) for r in range(2) for k in range(4) for i in range(5)]:
            a = block.query(target[r, k]) @ block.key(behaviours[r, i]) / 3**0.5
            s = similarity[r, k, i] / torch.exp(block.log_temperature)
            found[r, k, i] = block.shares[0] * a + block.shares[1] * s + block.shares[2] * a * s
        return found

    assert_parity(block.logits, plain, drawn(2, 4, 3), drawn(2, 5, 3, seed=1), drawn(2, 4, 5, seed=2), module=block)


def test_similar_content_gets_more_weight_from_the_start() -> None:
    block = SemanticAttention(3)
    logits = block.logits(torch.zeros(1, 1, 3), torch.zeros(1, 2, 3), torch.tensor([[[0.9, 0.1]]]))
    assert logits[0, 0, 0] > logits[0, 0, 1] + 1
