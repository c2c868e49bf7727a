"""Blends of two pictures: who meets whom, and how much of each is seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from openmoon.data.blend import blend_pictures, draw_partners
from openmoon.data.views import Views


@given(total=st.integers(1, 30), chance=st.floats(0, 1), seed=st.integers(0, 99), data=st.data())
def test_only_the_rows_named_meet_each_other(total: int, chance: float, seed: int, data: st.DataObject) -> None:
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, total - 1)))), int)
    partner, share = draw_partners(rows, chance, total, np.random.default_rng(seed))
    alone = np.setdiff1d(np.arange(total), rows)
    assert (partner[alone] == alone).all()
    assert (share[alone] == 1).all()
    assert sorted(partner) == list(range(total))
    assert ((share >= 0) & (share <= 1)).all()


def test_the_chance_decides_how_many() -> None:
    rows = np.arange(0, 4000, 2)
    assert (draw_partners(rows, 0.0, 4000, np.random.default_rng(0))[1] == 1).all()
    _, share = draw_partners(rows, 0.3, 4000, np.random.default_rng(0))
    assert (share[rows] < 1).mean() == pytest.approx(0.3, abs=0.03)


def test_a_blend_shows_each_picture_by_its_share() -> None:
    share = np.linspace(0, 1, 200)
    white, black = torch.full((200, 3, 40, 40), 200.0), torch.zeros(200, 3, 40, 40)
    out = blend_pictures(white, black, share, np.random.default_rng(0))
    np.testing.assert_allclose(out.mean((1, 2, 3)) / 200, share, atol=0.04)
    patched = [len(row.unique()) == 2 for row in out]
    assert np.mean(patched) == pytest.approx(0.5, abs=0.1)
    torch.testing.assert_close(out[0], black[0])
    torch.testing.assert_close(out[-1], white[-1])


def test_views_name_both_pictures() -> None:
    views = Views([None, None, "text"], ["a", "b", None]).blended(np.array([1, 0, 2]), np.array([0.25, 1.0, 1.0]))
    assert views.images == [("a", "b", 0.25), "b", None]
    assert len(set(views.identity())) == 3
    with pytest.raises(ValueError, match="row 2: only plain pictures"):
        views.blended(np.array([0, 1, 0]), np.array([1.0, 1.0, 0.5]))
