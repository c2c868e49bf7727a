"""Weights that are about to be loaded are not drawn first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from openmoon import ProductEncoder
from openmoon.models.fusion import Fusion
from openmoon.models.undrawn import _DRAWS, undrawn


def test_building_draws_nothing_and_gives_every_weight_its_shape() -> None:
    def build() -> dict[str, torch.Size]:
        made = Fusion(6, 3, width=4, depth=2, heads=2, hidden=8, dim=5)
        return {name: weight.shape for name, weight in made.state_dict().items()}

    drawn, before = build(), torch.get_rng_state()
    with undrawn():
        assert build() == drawn
    assert torch.equal(torch.get_rng_state(), before)
    build()
    assert not torch.equal(torch.get_rng_state(), before)


def test_nothing_that_was_not_drawn_is_left(
    tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory full of NaN in the place of what would be drawn does not show in a loaded encoder."""
    as_it_is = undrawn.__torch_dispatch__

    def poisoned(self: undrawn, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        return args[0].fill_(torch.nan) if func in _DRAWS else as_it_is(self, func, types, args, kwargs)

    monkeypatch.setattr(undrawn, "__torch_dispatch__", poisoned)
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    loaded = ProductEncoder.from_pretrained(tmp_path / "encoder")
    assert all(buffer.isfinite().all() for buffer in loaded.buffers())
    np.testing.assert_array_equal(loaded.encode(["boot", *pictures]), tiny_encoder.encode(["boot", *pictures]))


def test_another_thread_draws_as_ever() -> None:
    with undrawn(), ThreadPoolExecutor(1) as other:
        weight = other.submit(lambda: nn.init.normal_(torch.zeros(100))).result()
    assert 0.5 < weight.std() < 1.5
