"""Pairs as training sees them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from openmoon.builders.pair_table import pair_table
from openmoon.training.posttrain import PairTable


def answers(table: PairTable, view: str) -> list[set[int]]:
    return [{one for lists in table.known(view) for one in lists.of(np.array([p]))[0].tolist()} for p in range(len(table))]


def test_stronger_actions_count_more_and_the_mean_stays_one() -> None:
    pairs = pl.DataFrame({
        "query_text": ["a", "b", "a"], "query_image_key": [None, "photo", None], "item": [3, 1, 2],
        "action": ["click", "purchase", "cart"], "asked_text": ["a", "b", "a"], "visits": [["1"], ["2"], ["2", "3"]],
    }, schema_overrides={"query_image_key": pl.String})  # fmt: skip
    table = pair_table(pairs, pairs, {"cart": 2.0, "purchase": 6.0})
    assert table.weight is not None
    assert table.weight.tolist() == pytest.approx([1 / 3, 2, 2 / 3])
    assert table.query[0] == table.query[2] != table.query[1]
    assert pair_table(pairs, pairs).weight is None
    assert table.others.draw(np.arange(3), np.random.default_rng(0)).tolist() == [2, -1, 3]
    assert len({table.fingerprint(), pair_table(pairs, pairs).fingerprint(), pair_table(pairs[:2], pairs).fingerprint()}) == 3
    assert answers(table, "text") == [{2, 3}, {1}, {2, 3}]
    assert answers(table, "image") == [set(), {1}, set()]
    assert answers(table, "text+image") == [{2, 3}, {1}, {2, 3}]
    for spare in ("inputs", "nothing"):
        assert not pair_table(pairs, pairs, spare=spare).known("text")
    visits = pair_table(pairs, pairs, spare="visits")
    assert answers(visits, "text") == [{2, 3}, {1, 2}, {1, 2, 3}]
    assert answers(visits, "image") == [{3}, {1, 2}, {1, 2}]
    no_sessions = pairs.with_columns(visits=pl.lit([], pl.List(pl.String)))
    assert answers(pair_table(no_sessions, no_sessions, spare="visits"), "text") == answers(table, "text")


def test_a_pair_of_many_sessions_has_what_was_chosen_in_any() -> None:
    """A popular one, of a thousand sessions with another choice in each."""
    count = 1000
    sessions = [f"session {n}" for n in range(count)]
    names = ["popular", *(f"query {n}" for n in range(count))]
    pairs = pl.DataFrame({
        "query_text": names, "query_image_key": [None] * (count + 1), "item": range(count + 1), "asked_text": names,
        "visits": [sessions, *([one] for one in sessions)],
    }, schema_overrides={"query_image_key": pl.String})  # fmt: skip
    mates = pair_table(pairs, pairs, spare="visits").mates
    assert mates is not None
    assert set(mates.of(np.array([0]))[0]) == set(range(count + 1))
    assert mates.sizes(np.arange(1, count + 1)).tolist() == [2] * count


def test_a_session_of_many_choices_spares_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A robot's, or all guests' under one name; its pairs were also chosen once each by shoppers, with a neighbour."""
    count = 500
    names = [f"query {n}" for n in range(count)]
    pairs = pl.DataFrame({
        "query_text": names, "query_image_key": [None] * count, "item": range(count), "asked_text": names,
        "visits": [["robot", f"shopper {n // 2}"] for n in range(count)],
    }, schema_overrides={"query_image_key": pl.String})  # fmt: skip
    mates = pair_table(pairs, pairs, spare="visits").mates
    assert mates is not None
    assert [set(mates.of(np.array([p]))[0]) for p in range(count)] == [{p - p % 2, p - p % 2 + 1} for p in range(count)]
    assert "1 sessions spare nothing, more than 100 products" in capsys.readouterr().err
