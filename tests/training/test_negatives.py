"""Hard negatives: where they come from, how the contrast meets them, and the triplets of what was clicked and left."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given
from torch import Tensor

from openmoon.data.lists import Lists
from openmoon.losses import info_nce, matryoshka, same_identity
from openmoon.training.contrast import Batch, Contrast
from openmoon.training.known import Known
from openmoon.training.negatives import LEFT, NOBODY, Beside, ClassPool, Extra, FromLog, HardNegatives, LeftBehind
from openmoon.training.queue import ItemQueue

B, E, DIM = 6, 5, 8


def unit(rows: int, seed: int) -> Tensor:
    found = torch.randn(rows, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(found, dim=1)


def tau() -> Tensor:
    return torch.tensor(0.1, dtype=torch.float64)


def test_sources_stand_beside_the_pairs_that_they_belong_to() -> None:
    lists = Lists.group(np.array([0, 2, 2]), np.array([7, 8, 9]), 4)
    hard = HardNegatives({LEFT: FromLog(lists, 2), "other": FromLog(lists, 1)})
    beside = hard.draw(np.array([3, 2, 0]), np.random.default_rng(0))
    assert beside.owner.tolist() == [1, 1, 2, 2, 1, 2]
    assert beside.left.tolist() == [True] * 4 + [False] * 2
    assert set(beside.product[beside.owner == 2]) == {7}
    assert set(beside.product[beside.owner == 1]) <= {8, 9}


def test_what_was_chosen_in_the_same_visits_is_not_left() -> None:
    """With all of its SPU; the list that pairs share stays one."""
    left = Lists.group(np.array([0, 0, 0]), np.array([3, 5, 8]), 1, which=np.zeros(3, np.int64))
    mates = Lists.group(np.array([1, 2, 2]), np.array([2, 5, 9]), 3)
    drawn = FromLog(left, 300, mates, np.arange(10) // 2).draw(np.array([2, 0, 1]), np.random.default_rng(0))
    assert [sorted(set(row)) for row in drawn.tolist()] == [[-1, 3], [3, 5, 8], [-1, 5, 8]]


def test_the_class_pool_draws_from_the_own_category_by_its_share() -> None:
    category, item = np.arange(30) // 10, np.array([0, 12])
    pool = ClassPool(Lists.group(np.array([0, 0]), np.array([3, 4]), 2), np.arange(30), category, item, 0.25, 2000)
    drawn = pool.draw(np.array([0, 1]), np.random.default_rng(0))
    own = np.isin(drawn[0], [3, 4])
    assert abs(own.mean() - 0.25) < 0.05
    assert set(drawn[0][~own]) == set(range(10, 30))
    elsewhere = drawn[1][drawn[1] >= 0]
    assert set(elsewhere) == {*range(10), *range(20, 30)}
    assert abs(len(elsewhere) / 2000 - 0.75) < 0.05  # nothing was passed by for pair 1


def test_a_shop_of_one_category_has_nothing_outside_of_it() -> None:
    pool = ClassPool(Lists.group(np.array([0, 0]), np.array([3, 4]), 1), np.arange(9), np.zeros(9, int), np.array([0]), 0.5, 200)
    drawn = pool.draw(np.array([0]), np.random.default_rng(0))
    assert set(drawn[0]) == {-1, 3, 4}


def test_the_contrast_meets_hard_negatives_and_the_queue() -> None:
    """Half the loss without the queue, half with it, and then without gradient to the items."""
    queries, answers, hard = unit(B, 1).requires_grad_(True), unit(B, 2).requires_grad_(True), unit(E, 3).requires_grad_(True)
    codes = torch.stack([torch.arange(B), torch.arange(B) % 4])
    hard_codes = torch.stack([torch.tensor([0, 9, 9, 3, 9]), torch.full((E,), NOBODY)])
    queue = ItemQueue(4, DIM, 2).double()
    queue.push(unit(4, 4), torch.full((2, 4), 77), torch.zeros(4, dtype=torch.int64))
    log_q = torch.linspace(-3, -1, 12, dtype=torch.float64)
    contrast = Contrast(tau, (4, DIM), queue=queue, log_q=log_q)
    products = torch.arange(B)
    found = contrast(queries, answers, Batch(codes, products), extra=Extra(hard, hard_codes)).losses
    everything = torch.cat([answers.detach(), hard.detach(), queue.items(answers)[0]])
    ignore = same_identity(codes, torch.cat([codes, hard_codes, queue.codes], 1))
    assert ignore[0, B]
    assert ignore[3, B + 3]
    assert ignore[:, B:].sum() == 2
    own = log_q[products]
    frequency = torch.cat([own, own.mean().expand(E), log_q[queue.products]])
    met = [matryoshka(lambda q, p: info_nce(q, p, 0.1, ignore=ignore[:, :len(p)], log_q=frequency[:len(p)]), [queries, some],
                      [4, DIM]) for some in (torch.cat([answers, hard]), everything)]  # fmt: skip
    expected = (met[0] + met[1]) / 2
    torch.testing.assert_close(found, expected)
    for mine, theirs in zip(
        torch.autograd.grad(found.sum(), [queries, answers, hard]),
        torch.autograd.grad(expected.sum(), [queries, answers, hard]), strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(mine, theirs)
        assert mine.abs().max() > 0


def test_what_a_query_wants_may_differ_from_what_its_item_is() -> None:
    queries, answers = unit(3, 1), unit(3, 2)
    codes = torch.tensor([[0, 1, 2]])
    wanted = torch.tensor([[0, 2, -1]])  # query 1 is a view of what item 2 is
    found = Contrast(tau, (DIM,))(queries, answers, Batch(codes, torch.arange(3), wanted=wanted)).losses
    ignore = torch.zeros(3, 3, dtype=torch.bool)
    ignore[1, 2] = True
    torch.testing.assert_close(found, info_nce(queries, answers, 0.1, ignore=ignore))


def test_what_is_known_to_be_right_is_no_negative_wherever_it_comes_from() -> None:
    """In the batch, beside it and in the queue; and it stays a negative of the other queries."""
    queries, answers, hard = unit(3, 1), unit(3, 2), unit(2, 3)
    spus = np.array([0, 0, 1, 1, 2, 3, 4])
    known = Known.of([Lists.group(np.array([0, 0, 2]), np.array([3, 5, 1]), 4)], np.array([0, 1, 2]), spus)
    queue = ItemQueue(2, DIM, 1).double()
    queue.push(unit(2, 4), torch.tensor([[3, 9]]), torch.tensor([5, 6]))
    batch, extra = Batch(torch.tensor([[2, 1, 4]]), torch.arange(3), known), Extra(hard, torch.tensor([[0, 1]]))
    found = Contrast(tau, (DIM,), queue=queue)(queries, answers, batch, extra=extra)
    ignore = torch.eye(3, 7, dtype=torch.bool)
    # SPUs of the columns: 2, 1, 4 in the batch, 0 and 1 beside it, 3 and 9 in the queue. Known: 1 and 3 for query 0, 0 for
    # query 2; 1 is query 1's own
    for row, column in ((0, 1), (0, 4), (0, 5), (2, 3), (1, 4)):
        ignore[row, column] = True
    columns = torch.cat([answers, hard, queue.items(answers)[0]])
    met = [info_nce(queries, columns[:count], 0.1, ignore=ignore[:, :count]) for count in (5, 7)]
    torch.testing.assert_close(found.losses, (met[0] + met[1]) / 2)


SOME = st.lists(st.integers(0, 8), max_size=4)


PAIRS = 5
SOURCES = st.lists(st.tuples(st.lists(SOME, min_size=1, max_size=4), st.lists(st.integers(0, 3), min_size=PAIRS, max_size=PAIRS)),
                   min_size=2, max_size=2)  # fmt: skip


def lists_of(found: list[list[int]], which: list[int]) -> tuple[Lists, list[set[int]]]:
    """As pairs share them, and what each pair has by a loop."""
    owner = np.array([place for place, one in enumerate(found) for _ in one], dtype=np.int64)
    place = np.array(which) % len(found)
    values = np.array([value for one in found for value in one], dtype=np.int64)
    return Lists.group(owner, values, len(found), place), [set(found[p]) for p in place]


@given(st.dictionaries(st.sampled_from(["text", "image"]), SOURCES, min_size=2), SOME.filter(bool), st.data())
def test_known_answers_agree_with_a_loop(sources: dict[str, list], candidates: list[int], data: st.DataObject) -> None:  # type: ignore[type-arg]
    """Under each of two views two sources know answers; some queries are shown under one, some under the other."""
    rows = data.draw(st.lists(st.integers(0, PAIRS - 1), min_size=1))
    views = data.draw(st.lists(st.sampled_from(["text", "image"]), min_size=len(rows), max_size=len(rows)))
    some = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1))
    spus = np.arange(9) // 2
    known = {view: [lists_of(*source) for source in found] for view, found in sources.items()}
    parts = []
    for view in sorted(set(views)):
        here = np.flatnonzero(np.array(views) == view)
        parts.append((here, Known.of([lists for lists, _ in known[view]], np.array(rows)[here], spus)))
    found = Known.merged(parts, len(rows)).among(torch.tensor(some), torch.tensor(candidates))
    right = [{spus[one] for _, held in known[view] for one in held[row]} for row, view in zip(rows, views, strict=True)]
    assert found.tolist() == [[c in right[row] for c in candidates] for row in some]


def test_where_nothing_is_asked_of_the_log_nothing_is_known() -> None:
    known = Known.of([], np.arange(3), np.arange(9))
    assert not Known.merged([(np.arange(3), known)], 3).among(torch.arange(3), torch.arange(4)).any()


def test_triplets_agree_with_a_loop() -> None:
    queries, answers, hard = unit(3, 1).requires_grad_(True), unit(B, 2), unit(E, 3)
    among = np.array([1, 3, 5])
    beside = Beside(np.array([0, 1, 1, 5, 3]), np.arange(E), np.array([True, True, True, True, False]))
    extra = Extra(hard, torch.zeros(1, E))
    weight = torch.linspace(0.5, 3, B, dtype=torch.float64)

    def weigh(losses: Tensor, places: np.ndarray) -> Tensor:
        return losses * weight[places]

    found = LeftBehind(0.5, 2.0, (4, DIM))(queries, among, answers, beside, extra, weigh)
    terms = []
    for e in range(E):
        if beside.left[e] and beside.owner[e] in among:
            three = queries[among.tolist().index(beside.owner[e])], answers[beside.owner[e]], hard[e]
            for d in (4, DIM):
                query, own, left = (F.normalize(v[:d], dim=0) for v in three)
                terms.append(weight[beside.owner[e]] * (0.5 - query @ own + query @ left).clamp(min=0))
    assert len(terms) == 2 * 3
    expected = 2.0 * torch.stack(terms).mean()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, queries)[0], torch.autograd.grad(expected, queries)[0])
    nothing = LeftBehind(0.5, 2.0, (4, DIM))(queries, np.array([2]), answers, beside, extra, weigh)
    assert nothing == 0
    assert nothing.requires_grad
