from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import polars as pl
from hypothesis import given

from openmoon.data.lists import Lists
from openmoon.data.pairs.beside import also_chosen, answers_of, not_chosen, same_category

SPUS = np.arange(12) // 2
QUERIES = [("a", None), ("b", None), (None, "k"), ("a", "k")]
SCHEMA = {"asked_text": pl.String, "query_image_key": pl.String, "item": pl.Int64, "action": pl.String}


def frame(rows: list[tuple[int, int, str]]) -> pl.DataFrame:
    return pl.DataFrame([(*QUERIES[q], i, a) for q, i, a in rows], SCHEMA, orient="row").unique(
        ["asked_text", "query_image_key", "item"], maintain_order=True
    )  # fmt: skip


rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 11), st.sampled_from(["impression", "click", "cart"])), max_size=25)


def as_sets(lists: Lists) -> list[set[int]]:
    return [set(lists.of(np.array([p]))[0].tolist()) for p in range(len(lists))]


@given(rows, rows)
def test_lists_agree_with_loops(chosen: list[tuple[int, int, str]], shown: list[tuple[int, int, str]]) -> None:
    pairs, met = frame(chosen), frame(shown)

    def same(p: dict, o: dict) -> bool:  # type: ignore[type-arg]
        return all(p[k] == o[k] for k in ("asked_text", "query_image_key"))

    table, log = pairs.to_dicts(), met.to_dicts()
    others = [{o["item"] for o in table if same(p, o)} - {p["item"]} for p in table]
    assert as_sets(also_chosen(pairs, pairs)) == others
    known = {view: as_sets(lists) for view, lists in answers_of(pairs, pairs).items()}
    words, photo = ([{o["item"] for o in table if p[k] is not None and p[k] == o[k]} - {p["item"]} for p in table]
                    for k in ("asked_text", "query_image_key"))  # fmt: skip
    assert (known["text"], known["image"]) == (words, photo)
    whole = [exact if None not in (p["asked_text"], p["query_image_key"]) else w | i
             for p, exact, w, i in zip(table, others, words, photo, strict=True)]  # fmt: skip
    assert known["text+image"] == whole
    passed = [
        {o["item"] for o in log if same(p, o) and o["action"] == "click"
         and SPUS[o["item"]] not in {SPUS[c["item"]] for c in table if same(p, c)}}
        for p in table
    ]  # fmt: skip
    found = not_chosen(pairs, pairs, met, ["click"], SPUS)
    assert as_sets(found) == passed
    category = np.arange(12) // 4
    near = same_category(found, pairs["item"].to_numpy(), category)
    assert as_sets(near) == [
        {i for i in s if category[i] == category[p["item"]]} for s, p in zip(passed, table, strict=True)
    ]


@given(rows, rows)
def test_what_is_known_to_be_right_is_taken_out_with_its_spu(first: list[tuple[int, int, str]], second) -> None:  # type: ignore[no-untyped-def]
    own, known = (Lists.group(np.array([q for q, _, _ in part], np.int64), np.array([i for _, i, _ in part], np.int64), 4)
                  for part in (first, second))  # fmt: skip
    expected = [
        [i for q, i, _ in first if q == row and SPUS[i] not in {SPUS[o] for p, o, _ in second if p == row}] for row in range(4)
    ]
    found = own.without(known, SPUS)
    assert [found.of(np.array([row]))[0].tolist() for row in range(4)] == expected


def test_what_a_rule_dropped_is_still_no_negative() -> None:
    chosen = frame([(0, 0, "cart"), (0, 2, "cart"), (1, 0, "cart")])
    kept, met = chosen[[1, 2]], frame([(0, 1, "click"), (0, 4, "click")])
    assert as_sets(also_chosen(kept, chosen)) == [{0}, set()]
    assert as_sets(not_chosen(kept, chosen, met, ["click"], SPUS)) == [{4}, set()]  # 1 is of the SPU of 0


def test_draws_come_from_the_own_list() -> None:
    lists = Lists.group(np.array([2, 0, 2]), np.array([7, 5, 9]), 3)
    drawn = lists.draw(np.array([0, 1, 2, 2]), 50, np.random.default_rng(0))
    assert [set(r.tolist()) for r in drawn] == [{5}, {-1}, {7, 9}, {7, 9}]
    assert lists.filled.tolist() == [True, False, True]
    assert (Lists.group(np.empty(0, int), np.empty(0, int), 2).draw(np.array([0, 1]), 2, np.random.default_rng(0)) == -1).all()
