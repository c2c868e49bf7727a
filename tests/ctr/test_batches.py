"""Batches hold every candidate once, with the right columns, in an order that can be gone on with."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch

from openmoon.ctr import batches as module
from openmoon.ctr.batches import CANDIDATES, Batch, Batches, ages
from tests.ctr.tables import START, config, shop_log

LOG = shop_log()
TRAIN = LOG.requests("train")


def candidates(batches: Iterable[Batch]) -> list[int]:
    return [int(number) for batch in batches for number in batch.candidate]


@pytest.mark.parametrize("size", [1, 30, 10_000])
def test_every_candidate_is_there_once(size: int) -> None:
    found = Batches(LOG, TRAIN, size, 8)
    expected = LOG.candidates(TRAIN).tolist()
    assert found.candidates.tolist() == expected == sorted(expected)
    assert found.impressions == len(expected)
    for order in (found.in_order(), found.shuffled((0, 0))):
        made = list(order)
        assert sorted(candidates(made)) == expected
        assert len(made) == len(found)


def test_a_batch_holds_about_its_size_of_impressions() -> None:
    sizes = [len(batch.candidate) for batch in Batches(LOG, TRAIN, 60, 8).shuffled((0, 0))]
    assert 45 < np.mean(sizes) < 75


def test_some_requests_and_their_candidates() -> None:
    some = TRAIN[[1, 3, 4, 9]]
    expected = [number for r in some for number in range(LOG.first[r], LOG.first[r + 1])]
    assert Batches(LOG, some, 30, 8).candidates.tolist() == LOG.candidates(some).tolist() == expected
    nothing = Batches(LOG, TRAIN[:0], 30, 8)
    assert (len(nothing), nothing.impressions, list(nothing.in_order())) == (0, 0, [])


@pytest.mark.parametrize("length", [1, 4, 1000])
def test_columns_are_those_of_the_log(length: int) -> None:
    seen, longest = set(), 0
    for batch in Batches(LOG, TRAIN, 50, length).shuffled((3, 1)):
        longest = max(longest, batch.history.shape[1])
        numbers = iter(batch.candidate.tolist())
        for row in range(len(batch.user)):
            there = int((batch.item[row] > 0).sum())
            own = [next(numbers) for _ in range(there)]
            r = int(LOG.request_of(own[:1])[0])
            seen.add(r)
            assert set(LOG.request_of(own)) == {r}
            assert batch.item[row, :there].tolist() == LOG.item[own].tolist()
            assert batch.label[row, :there].tolist() == LOG.label[own].tolist()
            assert batch.position[row, :there].tolist() == LOG.position[own].tolist()
            assert batch.weight[row].tolist() == [1] * there + [0] * (batch.item.shape[1] - there)
            for column in (batch.item, batch.label, batch.position):
                assert not column[row, there:].any()
            assert (batch.user[row], batch.query[row]) == (LOG.user[r], LOG.query[r])
            past = np.arange(LOG.start[r], LOG.end[r])[::-1][:length]  # the latest first
            pad = [0] * (batch.history.shape[1] - len(past))
            assert batch.history[row].tolist() == [*LOG.histories.entity[past], *pad]
            assert batch.kind[row].tolist() == [*LOG.histories.kind[past], *pad]
            assert batch.age[row].tolist() == [*ages(LOG.seconds[r] - LOG.histories.seconds[past]), *pad]
        assert next(numbers, None) is None
    assert seen == set(TRAIN.tolist())
    assert longest == min(length, (LOG.end - LOG.start)[TRAIN].max())


def test_long_requests_take_several_rows() -> None:
    counts = np.diff(LOG.first)[TRAIN]
    long = TRAIN[counts == 20]
    assert len(long) > 3
    (batch,) = Batches(LOG, long, 10_000, 8).in_order()
    assert batch.item.shape == (2 * len(long), CANDIDATES)
    assert sorted((batch.item > 0).sum(1).tolist()) == [4] * len(long) + [16] * len(long)


def test_orders_follow_from_the_seed_and_can_be_gone_on_with() -> None:
    found = Batches(LOG, TRAIN, 20, 8)
    whole = [batch.candidate.tolist() for batch in found.shuffled((1, 0))]
    assert len(whole) > 10
    for start in (0, 1, 7, len(whole) - 1, len(whole)):
        rest = [batch.candidate.tolist() for batch in found.shuffled((1, 0), start=start)]
        assert rest == whole[start:]
    for other in ((1, 1), (2, 0)):
        assert [batch.candidate.tolist() for batch in found.shuffled(other)] != whole


def test_rows_of_a_batch_have_histories_of_like_length(monkeypatch: pytest.MonkeyPatch) -> None:
    def padding() -> float:
        made = list(Batches(LOG, TRAIN, 20, 1000).shuffled((0, 0)))
        return 1 - sum(int((b.history > 0).sum()) for b in made) / sum(b.history.numel() for b in made)

    sorted_ones = padding()
    monkeypatch.setattr(module, "WINDOW", 1)
    assert sorted_ones < padding() / 2


def test_weights_are_those_of_the_candidates() -> None:
    weights = np.random.default_rng(0).random(len(LOG.item)).astype(np.float32)
    for batch in Batches(LOG, TRAIN, 40, 8, weights).in_order():
        there = batch.item > 0
        assert batch.weight[there].tolist() == weights[batch.candidate].tolist()
        assert not batch.weight[~there].any()


def test_moments_and_what_is_asked() -> None:
    queries = {**dict.fromkeys(range(LOG.entities.first_query), 0)}
    for row, (text, photo) in enumerate(LOG.entities.queries.rows(), LOG.entities.first_query):
        queries[row] = (text is not None) + 2 * (photo is not None)
    assert set(queries.values()) == {0, 1, 2, 3}
    for batch in Batches(LOG, TRAIN, 40, 8).in_order():
        numbers = LOG.request_of(batch.candidate.numpy()[np.cumsum((batch.item > 0).sum(1).numpy()) - 1])
        for row, r in enumerate(numbers):
            moment = np.datetime64(int(LOG.seconds[r]), "s").item()
            assert moment >= START
            assert (batch.hour[row], batch.weekday[row]) == (moment.hour, moment.weekday())
            assert batch.asks[row] == queries[int(batch.query[row])]


def test_ages_double_from_an_hour_on() -> None:
    hour = 3600
    seconds = np.array([0, 1, hour // 2, hour - 1, hour, 2 * hour - 1, 2 * hour, 4 * hour, 8 * hour - 1, 10**9])
    assert ages(seconds).tolist() == [1, 1, 1, 1, 2, 2, 3, 4, 4, module.AGES - 1]


def test_without_behaviours_there_is_no_history() -> None:
    log = shop_log(config(behaviours=["purchase"], queries=False))
    for batch in Batches(log, log.requests("train"), 40, 8).in_order():
        assert batch.history.shape[1] == batch.kind.shape[1] == batch.age.shape[1] == 0


def test_batches_move_to_a_device() -> None:
    (batch,) = Batches(LOG, TRAIN[:2], 100, 8).in_order()
    moved = batch.to(torch.device("meta"))
    assert moved.item.device.type == moved.weight.device.type == "meta"
