"""Mined negatives against a plain loop, and their table in a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable

import hypothesis.strategies as st
import numpy as np
import torch
from hypothesis import given
from torch import Tensor

from openmoon.data.lists import Lists
from openmoon.training import mining
from openmoon.training.distributed import World
from openmoon.training.mining import Mined, MinedNegatives, mine

N, P, DEPTH, MARGIN = 20, 15, 3, 0.05


def unit(rng: np.random.Generator, rows: int) -> np.ndarray:
    vectors = rng.normal(size=(rows, 4)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(0, 10**6), st.sampled_from([7, mining.BLOCK]))
def test_mining_agrees_with_a_loop(seed: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    products = np.sort(rng.permutation(N)[:16])
    queries, items = unit(rng, 6), unit(rng, 16)
    query, item = rng.integers(0, 6, P), rng.choice(products, P)
    spus, category = rng.integers(0, 10, N), rng.integers(0, 3, N)
    same = (query[:, None] == query) & (item[:, None] != item)
    owner, other = np.nonzero(same)
    chosen = Lists.group(owner, item[other], P)
    usual, mining.BLOCK = mining.BLOCK, block
    found = mine(queries, query, items, products, item, spus, category, [chosen], DEPTH, MARGIN)
    mining.BLOCK = usual
    taken = candidates = 0
    for p in range(P):
        right = {spus[item[p]], *spus[chosen.of(np.array([p]))[0]]}
        score = {j: float(queries[query[p]] @ items[n]) for n, j in enumerate(products)}
        rivals = [j for j in products if category[j] == category[item[p]]]
        candidates += len(rivals)
        allowed = [j for j in rivals if spus[j] not in right and score[j] <= score[item[p]] - MARGIN]
        best = sorted((score[j] for j in allowed), reverse=True)[:DEPTH]
        mined = [j for j in found.table[p] if j >= 0]
        assert set(mined) <= set(allowed)
        np.testing.assert_allclose([score[j] for j in mined], best, atol=1e-6)
        taken += len(mined)
    assert found.figures["mining, taken"] == taken
    assert found.figures["mining, candidates"] == candidates


def test_the_table_is_renewed_on_time_and_goes_into_checkpoints() -> None:
    tables = iter([np.array([[4, 5], [-1, -1]], np.int32), np.array([[6, -1], [7, 8]], np.int32)])
    mined = MinedNegatives(2, 2, 3, 10, lambda: Mined(next(tables), {"mining, taken": 2.0}))
    assert mined.before_step(0) == {"mining, taken": 2.0}
    assert mined.before_step(5) == {}
    drawn = mined.draw(np.array([1, 0]), np.random.default_rng(0))
    assert (drawn[0] == -1).all()
    assert set(drawn[1]) <= {4, 5}
    other = MinedNegatives(2, 2, 3, 10, lambda: Mined(np.zeros((2, 2), np.int32), {}))
    other.load_state_dict(mined.state_dict())
    torch.testing.assert_close(other.table, mined.table)
    mined.before_step(10)
    assert set(mined.draw(np.array([0]), np.random.default_rng(0))[0]) == {6}


def test_all_of_a_row_are_drawn() -> None:
    mined = MinedNegatives(1, 4, 50, 10, lambda: Mined(np.array([[3, 5, 7, -1]], np.int32), {}))
    mined.before_step(0)
    assert set(mined.draw(np.array([0]), np.random.default_rng(0))[0]) == {3, 5, 7}


class Follower(World):
    """A process that is told a table of ones."""

    def agree(self, parameters: Iterable[Tensor]) -> None:
        for parameter in parameters:
            parameter.fill_(1)


def test_over_several_processes_the_leader_mines_for_all() -> None:
    def mine_for_myself() -> Mined:
        raise AssertionError("mined by its own rounding")

    follower = MinedNegatives(2, 2, 3, 10, mine_for_myself, Follower(1, 2))
    assert follower.before_step(0) == {}
    assert (follower.table == 1).all()
