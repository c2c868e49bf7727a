"""Which impression a choice belongs to."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from openmoon.ctr.events import Events
from openmoon.ctr.impressions import Impressions, impressions
from tests.ctr.tables import event, events, numbered, shop_events


def logged(*rows: tuple[Any, ...]) -> pl.DataFrame:
    """Some events as numbers."""
    return as_table(numbered(events(*rows)))


def as_table(found: Events) -> pl.DataFrame:
    """All events in one table."""
    (table,) = found.parts()
    return table


def chosen(found: Impressions) -> list[int]:
    """Rows of the events that are chosen impressions."""
    return sorted(found.table.filter("label")["row"].to_list())


def test_a_choice_belongs_to_the_last_impression_before_it_in_its_session() -> None:
    found = impressions(logged(
        event("u", 0, "impression", "p1", session="a"),
        event("u", 10, "impression", "p1", session="a"),  # this one
        event("u", 11, "impression", "p1", session="b"),
        event("v", 11, "impression", "p1", session="a"),
        event("u", 11, "impression", "p2", session="a"),
        event("u", 12, "click", "p1", session="a"),
        event("u", 13, "impression", "p1", session="a"),
    ), "click")  # fmt: skip
    assert chosen(found) == [1]
    assert found.counts == {"impressions": 6, "requests": 6, "clicks": 1, "clicks without an impression before them": 0,
                            "impressions chosen": 1}  # fmt: skip


def test_order_of_the_table_does_not_matter() -> None:
    table = shop_events(requests=60)
    tables = table, table.sample(fraction=1, shuffle=True, seed=1)
    straight, mixed = (impressions(as_table(numbered(one)), "click") for one in tables)
    assert straight.counts == mixed.counts
    assert straight.counts["requests"] > 50
    columns = ["seconds", "product", "position", "label"]
    assert straight.table.select(columns).sort(columns).equals(mixed.table.select(columns).sort(columns))


def test_a_choice_prefers_an_impression_for_its_own_query() -> None:
    shown = [event("u", 0, "impression", "p1", text="boots", session="a"),
             event("u", 5, "impression", "p1", text="shoes", session="a")]  # fmt: skip
    for text, row in (("boots", 0), (" BOOTS ", 0), ("shoes", 1), ("hats", 1), (None, 1)):
        assert chosen(impressions(logged(*shown, event("u", 9, "click", "p1", text=text, session="a")), "click")) == [
            row
        ]


def test_photos_tell_queries_apart_too() -> None:
    shown = [event("u", t, "impression", "p1", photo=photo, session="a") for t, photo in ((0, "x"), (5, "y"))]
    assert chosen(impressions(logged(*shown, event("u", 9, "click", "p1", photo="x", session="a")), "click")) == [0]


def test_choices_without_an_impression_before_them_are_counted() -> None:
    found = impressions(logged(
        event("u", 0, "click", "p1", session="a"),
        event("u", 1, "impression", "p1", session="a"),
        event("u", 2, "click", "p2", session="a"),
        event("u", 3, "click", "p1", session="a"),
        event("u", 4, "click", "p1", session="a"),  # of the same impression
    ), "click")  # fmt: skip
    assert chosen(found) == [1]
    assert found.counts["clicks"] == 4
    assert found.counts["clicks without an impression before them"] == 2
    assert found.counts["impressions chosen"] == 1


@pytest.mark.parametrize(("session", "after", "hits"), [(None, 1, 1), (None, 25, 0), ("", 25, 0), ("a", 25, 1)])
def test_without_sessions_a_choice_follows_within_a_day(session: str | None, after: int, hits: int) -> None:
    table = logged(event("u", 0, "impression", "p1", session=session),
                   event("u", after * 3600, "click", "p1", session=session))  # fmt: skip
    found = impressions(table, "click")
    assert len(chosen(found)) == hits
    assert found.counts["clicks without an impression before them"] == 1 - hits


def test_a_request_is_one_shopper_moment_and_query() -> None:
    found = impressions(logged(
        event("u", 0, "impression", "p1", text="Red  Boots", session="a", position=2),
        event("u", 0, "impression", "p2", text="red boots", session="a", position=1),
        event("u", 0, "impression", "p2", text="bags", session="a"),
        event("v", 0, "impression", "p2", text="red boots", session="a"),
        event("u", 0, "impression", "p2", text="red boots", session="b"),
        event("u", 1, "impression", "p2", text="  ", session="a"),
        event("u", 9, "purchase", "p2", session="a"),
    ), "purchase")  # fmt: skip
    requests = found.table.group_by("request", maintain_order=True).agg("product", "query")
    assert len(requests) == found.counts["requests"] == 5
    whole = requests.filter(pl.col("product").list.len() == 2)
    assert whole["product"].to_list() == [[3, 2]]  # p2 and p1, by their places
    assert requests["request"].to_list() == list(range(5))
    assert found.table["seconds"].is_sorted()
    assert found.table["query"][-1] == 0
    assert chosen(found) == [5]
