from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import polars as pl
from hypothesis import given

from openmoon.data.lists import Lists, Others
from openmoon.data.pairs.beside import also_chosen, answers_of, not_chosen, same_category

SPUS = np.arange(12) // 2
QUERIES = [("a", None, "a"), ("b", None, "b"), (None, "k", None), ("a", "k", "a"), ("a", "k", None)]
"""Words asked, photo, words that a rule left."""
SCHEMA = {"asked_text": pl.String, "query_image_key": pl.String, "query_text": pl.String, "item": pl.Int64, "action": pl.String}


def frame(rows: list[tuple[int, int, str]]) -> pl.DataFrame:
    return pl.DataFrame([(*QUERIES[q], i, a) for q, i, a in rows], SCHEMA, orient="row").unique(
        ["asked_text", "query_image_key", "item"], maintain_order=True
    )  # fmt: skip


rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 11), st.sampled_from(["impression", "click", "cart"])), max_size=25)


def drawn_from(others: Others) -> list[set[int]]:
    """All that is ever drawn for each row."""
    rows, rng = np.arange(len(others.own)), np.random.default_rng(0)
    drawn = np.array([others.draw(rows, rng) for _ in range(300)])
    return [set(found.tolist()) - {-1} for found in drawn.T]


def as_sets(lists: Lists) -> list[set[int]]:
    return [set(lists.of(np.array([p]))[0].tolist()) for p in range(len(lists))]


@given(rows, rows)
def test_lists_agree_with_loops(chosen: list[tuple[int, int, str]], shown: list[tuple[int, int, str]]) -> None:
    pairs, met = frame(chosen), frame(shown)

    def same(p: dict, o: dict) -> bool:  # type: ignore[type-arg]
        return all(p[k] == o[k] for k in ("asked_text", "query_image_key"))

    table, log = pairs.to_dicts(), met.to_dicts()
    chosen_too, others = [{o["item"] for o in table if same(p, o)} for p in table], also_chosen(pairs, pairs)
    assert as_sets(others.lists) == chosen_too
    assert others.filled.tolist() == [len(found) > 1 for found in chosen_too]
    assert drawn_from(others) == [found - {p["item"]} for found, p in zip(chosen_too, table, strict=True)]
    known = {view: as_sets(lists) for view, lists in answers_of(pairs, pairs, others.lists).items()}
    words, photo = ([{o["item"] for o in table if p[k] is not None and p[k] == o[k]} for p in table]
                    for k in ("asked_text", "query_image_key"))  # fmt: skip
    assert (known["text"], known["image"]) == (words, photo)
    whole = [i if p["query_text"] is None else w if p["query_image_key"] is None else exact
             for p, exact, w, i in zip(table, chosen_too, words, photo, strict=True)]  # fmt: skip
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
    own, known = (Lists.group(np.array([q for q, _, _ in part], np.int64), np.array([i for _, i, _ in part], np.int64), 5)
                  for part in (first, second))  # fmt: skip
    expected = [
        [i for q, i, _ in first if q == row and SPUS[i] not in {SPUS[o] for p, o, _ in second if p == row}] for row in range(5)
    ]
    found = own.without(known, SPUS)
    assert [found.of(np.array([row]))[0].tolist() for row in range(5)] == expected
    which, theirs = np.array([0, 3, 0, 0, 2]), np.array([1, 1, 4, 1, 1])
    found = replace(own, which=which).without(replace(known, which=theirs), SPUS)
    assert [found.of(np.array([row]))[0].tolist() for row in range(5)] == [
        [i for q, i, _ in first if q == mine and SPUS[i] not in {SPUS[o] for p, o, _ in second if p == other}]
        for mine, other in zip(which, theirs, strict=True)
    ]  # fmt: skip


def test_what_a_rule_dropped_is_still_no_negative() -> None:
    chosen = frame([(0, 0, "cart"), (0, 2, "cart"), (1, 0, "cart")])
    kept, met = chosen[[1, 2]], frame([(0, 1, "click"), (0, 4, "click")])
    assert drawn_from(also_chosen(kept, chosen)) == [{0}, set()]
    elsewhere = kept.with_columns(item=pl.lit(7))  # as where products of an SPU are merged
    assert drawn_from(also_chosen(elsewhere, chosen)) == [{0, 2}, {0}]
    assert as_sets(not_chosen(kept, chosen, met, ["click"], SPUS)) == [{4}, set()]  # 1 is of the SPU of 0


def test_draws_come_from_the_own_list() -> None:
    lists = Lists.group(np.array([2, 0, 2]), np.array([7, 5, 9]), 3)
    drawn = lists.draw(np.array([0, 1, 2, 2]), 50, np.random.default_rng(0))
    assert [set(r.tolist()) for r in drawn] == [{5}, {-1}, {7, 9}, {7, 9}]
    assert lists.filled.tolist() == [True, False, True]
    assert (Lists.group(np.empty(0, int), np.empty(0, int), 2).draw(np.array([0, 1]), 2, np.random.default_rng(0)) == -1).all()


def test_others_are_drawn_alike_and_never_the_own() -> None:
    lists = Lists.group(np.array([0, 0, 0, 0]), np.array([4, 5, 6, 7]), 1, np.zeros(4, np.int64))
    others, rng = Others(lists, np.arange(4)), np.random.default_rng(0)
    drawn = np.array([others.draw(np.array([2]), rng)[0] for _ in range(3000)])
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [4, 5, 7]
    assert counts.min() > 900


def test_many_pairs_of_one_query_need_little_memory() -> None:
    pairs = pl.DataFrame({"asked_text": "dress", "query_image_key": None, "query_text": "dress", "item": range(30_000)},
                         schema_overrides={"query_image_key": pl.String})  # fmt: skip
    others = also_chosen(pairs, pairs)
    known = answers_of(pairs, pairs, others.lists)
    met = pairs.select("asked_text", "query_image_key", pl.col("item") + 30_000, action=pl.lit("click"))
    left = not_chosen(pairs, pairs, met, ["click"], np.arange(60_000)).without(known["text"], np.arange(60_000))
    near = same_category(left, pairs["item"].to_numpy(), np.arange(60_000) % 10)
    assert near.sizes(np.arange(3)).tolist() == [3000] * 3
    assert sum(len(lists.values) for lists in (others.lists, *known.values(), left, near)) <= 6 * len(pairs)
