"""The tower's split first layer is one layer over everything."""

from __future__ import annotations

import torch
from torch import Tensor

from openmoon.ctr.blocks.tower import Tower
from tests.ctr.plain import assert_parity, drawn, filled


def test_parity_with_one_layer_over_the_concatenation() -> None:
    tower = filled(Tower(4, 3, [6, 5, 2], dropout=0.5)).eval()

    def plain(request: Tensor, candidate: Tensor) -> Tensor:
        whole = torch.cat([request[:, None].expand(-1, candidate.shape[1], -1), candidate], -1)
        weight = torch.cat([tower.request.weight, tower.candidate.weight], 1)
        value = torch.relu(whole @ weight.T + tower.candidate.bias)
        for layer in (tower.body[2], tower.body[5]):
            value = torch.relu(value @ layer.weight.T + layer.bias)
        return torch.cat([value @ tower.output.weight.T + tower.output.bias, value], -1)

    def ours(request: Tensor, candidate: Tensor) -> Tensor:
        logits, hidden = tower(request, candidate)
        return torch.cat([logits[..., None], hidden], -1)

    assert_parity(ours, plain, drawn(3, 4), drawn(3, 5, 3, seed=1), module=tower)


def test_dropout_is_in_every_hidden_layer_and_in_training_only() -> None:
    tower = filled(Tower(4, 3, [400, 300], dropout=0.5)).train()
    request, candidate = drawn(2, 4), drawn(2, 2, 3)
    hidden = tower(request, candidate)[1]
    assert (hidden == 0).float().mean() > 0.6  # half by ReLU, half of the rest by dropout
    assert not torch.equal(hidden, tower(request, candidate)[1])
    tower.eval()
    assert torch.equal(tower(request, candidate)[1], tower(request, candidate)[1])
