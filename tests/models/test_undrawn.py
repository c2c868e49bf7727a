"""Weights that are about to be loaded are not drawn first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

from openmoon.models.fusion import build_fusion
from openmoon.models.undrawn import undrawn


def test_building_draws_nothing_and_gives_every_weight_its_shape() -> None:
    def build() -> dict[str, torch.Size]:
        made = build_fusion(6, 3, width=4, depth=2, heads=2, hidden=8, dim=5)
        return {name: weight.shape for name, weight in made.state_dict().items()}

    drawn, before = build(), torch.get_rng_state()
    with undrawn():
        assert build() == drawn
    assert torch.equal(torch.get_rng_state(), before)
    build()
    assert not torch.equal(torch.get_rng_state(), before)


def test_another_thread_draws_as_ever() -> None:
    with undrawn(), ThreadPoolExecutor(1) as other:
        weight = other.submit(lambda: nn.init.normal_(torch.zeros(100))).result()
    assert 0.5 < weight.std() < 1.5
