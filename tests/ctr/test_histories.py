"""Behaviours of a request: everything of its shopper before it, and nothing at it or after."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from openmoon.ctr.build_log import build_log
from openmoon.ctr.histories import QUERY, before, in_order
from openmoon.data.schema import ACTIONS
from tests.ctr.tables import catalog, config, event, events, numbered, shop_events, shop_log

USERS = 4
BEHAVIOURS = st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(0, 6), st.integers(-5, 20)), max_size=30)
ASKED = st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(-9, 25)), min_size=1, max_size=8)


@given(BEHAVIOURS, ASKED)
def test_all_and_only_what_the_shopper_did_before(
    done: list[tuple[int, int, int]], asked: list[tuple[int, int]]
) -> None:
    table = pl.DataFrame(done, orient="row", schema={"user": pl.Int32, "entity": pl.Int32, "seconds": pl.Int64})
    found = in_order(table)
    start, end = before(found, *(np.array(column) for column in zip(*asked, strict=True)))
    for (user, second), begin, until in zip(asked, start, end, strict=True):
        expected = [(s, entity) for who, entity, s in done if who == user and s < second and entity > 0]
        got = found[begin:until].select("seconds", "entity").rows()
        assert got == sorted(expected, key=lambda pair: pair[0])


def test_a_log_slices_behaviours_of_its_own_shopper_strictly_before_the_request() -> None:
    log, table = shop_log(), shop_events()
    shown = table.filter(action="impression").unique(["user_id", "timestamp", "query_text", "query_image"])
    at = np.datetime64("1970-01-01") + log.seconds.astype("timedelta64[s]")
    rows = {query: row for row, query in enumerate(log.entities.queries.rows(), log.entities.first_query)}
    some = 0
    for r, (start, end) in enumerate(zip(log.start, log.end, strict=True)):
        earlier = pl.col("user_id") == log.shoppers[int(log.shopper[r]) - 1], pl.col("timestamp") < pl.lit(at[r])
        clicks = table.filter(*earlier, pl.col("action").is_in(["click", "cart"]))
        queries = shown.filter(*earlier, pl.any_horizontal(pl.col("query_text", "query_image").is_not_null()))
        asked = queries.select(pl.col("query_text").str.to_lowercase(), "query_image").rows()
        expected = sorted([*log.entities.of_products(clicks["product_id"]), *(rows[query] for query in asked)])
        assert sorted(log.histories.entity[start:end]) == expected
        assert (np.diff(log.histories.seconds[start:end]) >= 0).all()
        some += len(expected)
    assert some > 500
    is_query = log.histories.entity >= log.entities.first_query
    assert ((log.histories.kind == QUERY) == is_query).all()


def test_what_happens_within_the_requests_second_is_not_before_it() -> None:
    rows = [event("u", t, "impression", "p1", session=f"s{t}") for t in (0, 100, 100.9, 200, 300, 400)]
    log = build_log(catalog(), numbered(events(*rows, event("u", 100.2, "click", "p1", session="s100"))), config(
        split={"val": 0.3, "test": 0.2, "gap": 0}))  # fmt: skip
    assert (log.end - log.start).tolist() == [0, 0, 0, 1, 1, 1]


def test_chosen_behaviours_and_queries_are_those_of_the_settings() -> None:
    log = shop_log(config(behaviours=["cart"], queries=False))
    assert set(log.histories.kind.tolist()) == {ACTIONS.index("cart")}
    assert len(log.histories.entity) == shop_events().filter(action="cart").height


def test_a_log_without_behaviours_has_empty_histories() -> None:
    log = shop_log(config(behaviours=["purchase"], queries=False))
    assert len(log.histories.entity) == 0
    assert not (log.end - log.start).any()
