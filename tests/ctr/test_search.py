"""The search stage in parts against one that looks at everything at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch.nn import functional as F

from openmoon.ctr.blocks import search
from openmoon.ctr.blocks.search import by_vectors
from openmoon.ctr.blocks.tiers import tier_counts
from openmoon.ctr.content import Content, VectorRows
from openmoon.ctr.scene import Scene


@pytest.mark.parametrize(("chunk", "stretch"), [(1, 1), (500, 40), (1 << 22, 100), (200, 1 << 19)])
def test_parts_find_what_the_whole_finds(chunk: int, stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    vectors = F.normalize(torch.randn(30, 8, dtype=torch.float64), dim=1)
    vectors[[0, 7]] = 0
    content = Content(VectorRows(vectors, "random", 1.0)).double()
    batch = SimpleNamespace(item=torch.randint(1, 30, (5, 3)), history=torch.randint(0, 30, (5, 17)))
    monkeypatch.setattr(search, "CHUNK", chunk)
    monkeypatch.setattr(search, "STRETCH", stretch)
    found = by_vectors(cast(Scene, SimpleNamespace(batch=batch, content=content)), 4, tiers=6)
    cosines, mask = (content(batch.item) @ content(batch.history).transpose(1, 2)).detach(), batch.history > 0
    best = cosines.masked_fill(~mask[:, None], -torch.inf).topk(4, dim=-1)
    torch.testing.assert_close(found.score, best.values, rtol=0, atol=1 / search.FINE)
    torch.testing.assert_close(cosines.gather(2, found.places), found.score, rtol=1e-13, atol=1e-13)
    assert found.tiers is not None
    assert torch.equal(found.tiers, tier_counts(cosines, mask, 6))
    assert found.mask.all()


def test_no_behaviours_are_found_where_there_are_none() -> None:
    content = Content(VectorRows(F.normalize(torch.randn(9, 4), dim=1), "random", 1.0))
    batch = SimpleNamespace(item=torch.randint(1, 9, (2, 3)), history=torch.zeros(2, 0, dtype=torch.long))
    found = by_vectors(cast(Scene, SimpleNamespace(batch=batch, content=content)), 4, tiers=6)
    assert found.places.shape == (2, 3, 0)
    assert found.tiers is not None
    assert not found.tiers.any()
