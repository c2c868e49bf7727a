"""The search stage against a sort of every candidate's behaviours by brute force."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from openmoon.ctr.batches import Batch, Batches
from openmoon.ctr.blocks import search as module
from openmoon.ctr.blocks.search import Found, by_category, by_hash, by_ids, by_vectors
from openmoon.ctr.content import Content
from openmoon.ctr.scene import Scene
from tests.ctr.tables import config, shop_log, shop_parts

Scores = Callable[[Scene, int, int], torch.Tensor]
LOG = shop_log(requests=80, users=3)
PLANES = torch.randn(8, 16, generator=torch.Generator().manual_seed(3))
FINDERS: dict[str, tuple[Callable[[Scene, int], Found], Callable[[Scene], torch.Tensor]]] = {
    "vectors": (by_vectors, lambda s: s.content(s.batch.item) @ s.content(s.batch.history).transpose(1, 2)),
    "ids": (by_ids, lambda s: s.target @ s.embeddings.behaviour(s.batch.history).transpose(1, 2)),
    "hash": (
        lambda s, count: by_hash(s, PLANES, count),
        lambda s: torch.sign(s.target @ PLANES) @ torch.sign(s.embeddings.behaviour(s.batch.history) @ PLANES).transpose(1, 2),
    ),
}  # fmt: skip


def scene() -> Scene:
    torch.manual_seed(0)
    parts = shop_parts(LOG, config())
    batch: Batch = max(Batches(LOG, LOG.requests("train"), 60, 12).in_order(), key=lambda b: b.history.shape[1])
    return Scene(batch, parts.embeddings(), Content(parts.vectors))


@pytest.mark.parametrize("chunk", [1, module.CHUNK])
@pytest.mark.parametrize("count", [3, 99])
@pytest.mark.parametrize("name", FINDERS)
@torch.no_grad()
def test_the_best_are_found_best_first(name: str, count: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    s, (find, scores) = scene(), FINDERS[name]
    found, all_scores = find(s, count), scores(s)
    rows, candidates, length = all_scores.shape
    assert found.places.shape == (rows, candidates, min(count, length))
    for r in range(rows):
        there = np.flatnonzero(s.mask[r].numpy())
        for k in range(candidates):
            score = all_scores[r, k].numpy()
            best = np.sort(score[there])[::-1][:count]
            mask = found.mask[r, k].numpy()
            assert mask.sum() == len(best)
            assert mask[: len(best)].all()
            places = found.places[r, k].numpy()[mask]
            assert len(set(places)) == len(places)
            assert set(places) <= set(there)
            np.testing.assert_allclose(score[places], best, atol=1 / module.FINE)
            np.testing.assert_array_equal(found.score[r, k].numpy()[mask], score[places])
            assert not found.score[r, k].numpy()[~mask].any()


def test_of_scores_that_differ_by_rounding_alone_the_latest_are_found() -> None:
    history = torch.ones(1, 10_000, dtype=torch.long)
    history[0, 9000:] = 0
    noise = torch.rand(1, 2, 10_000, generator=torch.Generator().manual_seed(0)) * 1e-7
    batch = cast(Batch, SimpleNamespace(history=history, item=torch.ones(1, 2, dtype=torch.long)))
    for score in (0.5, -0.3, 0.77, 40.0):  # none within the noise of a border between multiples of 1/FINE
        assert abs(score * module.FINE % 1 - 0.5) > 0.05
        equal = torch.full((1, 2, 10_000), score) + noise
        equal[:, :, 700] += 0.01
        found = module.search(batch, lambda part, equal=equal: equal[part].clone(), 1, 5)
        assert found.places.tolist() == [[[700, 0, 1, 2, 3]] * 2]


@pytest.mark.parametrize("chunk", [1, module.CHUNK])
def test_by_category_takes_the_latest_of_the_same_category(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    s = scene()
    found, numbers = by_category(s, 2), s.embeddings.numbers[:, 1]
    wanted, past = numbers[s.batch.item], numbers[s.batch.history]
    nothing = some = 0
    for r, k in np.ndindex(*wanted.shape):
        same = [i for i in range(past.shape[1]) if past[r, i] == wanted[r, k] and past[r, i] > 0][:2]
        assert found.places[r, k][found.mask[r, k]].tolist() == same
        assert found.score[r, k].tolist() == found.mask[r, k].float().tolist()
        nothing, some = nothing + (not same), some + bool(same)
    assert nothing
    assert some


def test_tiers_count_all_behaviours_not_only_those_found() -> None:
    s = scene()
    tiers = by_vectors(s, 2, tiers=4).tiers
    assert tiers is not None
    assert tiers.sum(-1).equal(s.mask.sum(1, keepdim=True).expand(tiers.shape[:2]).float())


def test_columns_are_taken_at_the_places_found() -> None:
    s = scene()
    found = by_vectors(s, 3)
    taken = found.take(s.batch.history)
    for r, k, i in np.ndindex(*found.places.shape):
        assert taken[r, k, i] == s.batch.history[r, found.places[r, k, i]]
    whole = s.behaviours[torch.arange(len(taken))[:, None, None], found.places]
    torch.testing.assert_close(found.embeddings(s), whole)
