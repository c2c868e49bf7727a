"""Parts of the test impressions, on logs made by hand."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import polars as pl
import pytest

from openmoon.ctr import log as log_module
from openmoon.ctr import slices as module
from openmoon.ctr.build_log import build_log
from openmoon.ctr.events import compact
from openmoon.ctr.log import CtrLog
from openmoon.ctr.slices import impression_deciles, slices
from tests.ctr.tables import START, catalog, config, event, events, shop_log

DAY = 86_400


def by_hand() -> CtrLog:
    """Six days of p0 and p1; then p2 comes, known by its date, and p3, known by its first impression."""
    products = catalog(6).with_columns(
        created_at=pl.when(pl.col("product_id") == "p2").then(pl.lit(START + timedelta(days=8.5)))
        .when(pl.col("product_id") == "p1").then(pl.lit(START - timedelta(days=400))))  # fmt: skip
    rows = [event("u", n * 3600, "impression", f"p{n % 2}", session=f"a{n}") for n in range(144)]
    rows += [event("u", n * 3600 + 5, "click", f"p{n % 2}", session=f"a{n}") for n in range(3, 9)]
    asked = [("p2", "hat", None), ("p3", None, "x.jpg"), ("p0", "hat", "x.jpg"), ("p2", None, None)]
    rows += [
        event("v", 9 * DAY + n, "impression", p, text, photo, session="b") for n, (p, text, photo) in enumerate(asked)
    ]
    rows += [event("u", 11 * DAY, "impression", p, session="c") for p in ("p2", "p3")]
    split = {"val": START + timedelta(days=5), "test": START + timedelta(days=7), "gap": 0}
    table = compact([events(*rows).with_row_index("row")], products["product_id"], Path(gettempdir()))
    return build_log(products, table, config(split=split, min_count=2))


LOG = by_hand()
ROWS = LOG.candidates(LOG.requests("test"))
FOUND = slices(LOG, ROWS, None)
PRODUCTS = LOG.entities.products["product_id"].gather(pl.Series(LOG.item[ROWS].astype(np.int64) - 1)).to_list()


def test_the_test_part_is_what_these_tests_think_it_is() -> None:
    assert PRODUCTS == ["p2", "p3", "p0", "p2", "p2", "p3"]


def test_new_products_are_those_that_came_within_a_day() -> None:
    assert FOUND["product"]["new (< 24 h)"].tolist() == [True, True, False, True, False, False]


def test_products_that_training_did_not_meet_are_unknown_to_it() -> None:
    assert FOUND["product"]["unknown to training"].tolist() == [p != "p0" for p in PRODUCTS]
    assert FOUND["product"]["known to training"].tolist() == [p == "p0" for p in PRODUCTS]


def test_ages_and_shares_are_the_same_when_few_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP", 7)
    monkeypatch.setattr(log_module, "BLOCK", 3)
    few = slices(LOG, ROWS, None)
    for kind, parts in FOUND.items():
        assert {name: mask.tolist() for name, mask in few[kind].items()} == {name: mask.tolist() for name, mask in parts.items()}


def test_products_of_the_logs_first_day_are_not_taken_for_new() -> None:
    everything = np.arange(len(LOG.item))
    new = slices(LOG, everything, None)["product"]["new (< 24 h)"]
    assert not new[:144].any()


def test_kinds_of_queries() -> None:
    assert {name: mask.nonzero()[0].tolist() for name, mask in FOUND["query"].items()} == {
        "nothing asked": [3, 4, 5], "words": [0], "photo": [1], "words and photo": [2]}  # fmt: skip


def test_lengths_of_histories() -> None:
    """v has asked 0, 1, 2 and 3 times before, u has chosen six times."""
    assert {name: mask.nonzero()[0].tolist() for name, mask in FOUND["behaviours"].items()} == {
        "0": [0], "1–5": [1, 2, 3], "6–20": [4, 5]}  # fmt: skip


def test_random_order_is_a_slice_where_it_is_known() -> None:
    assert "exposure" not in FOUND
    uniform = np.array([True, False, False, False, True, False])
    found = slices(LOG, ROWS, uniform)["exposure"]
    assert (found["uniform"].tolist(), found["ranked"].tolist()) == (uniform.tolist(), (~uniform).tolist())
    assert list(slices(LOG, ROWS, np.zeros(6, bool))["exposure"]) == ["ranked"]


def test_deciles_hold_a_tenth_of_the_products_each_the_most_shown_last() -> None:
    log = shop_log()
    decile = impression_deciles(log)
    train = log.candidates(log.requests("train"))
    shown = np.bincount(log.item[train], minlength=len(log.entities))
    products = decile[1 : log.entities.first_query]
    assert set(np.bincount(products)[1:].tolist()) == {2, 3}
    assert decile[0] == 0
    assert not decile[log.entities.first_query :].any()
    for number in range(1, 10):
        assert shown[decile == number].max() <= shown[decile == number + 1].min()


def test_no_slice_is_empty_and_each_kind_holds_every_row_at_most_once() -> None:
    log = shop_log()
    rows = log.candidates(log.requests("test"))
    found = slices(log, rows, None)
    for kind, parts in found.items():
        assert all(mask.any() and len(mask) == len(rows) for mask in parts.values())
        if kind not in ("product", "exposure class"):
            assert sum(mask.astype(int) for mask in parts.values()).max() == 1, kind
    for kind in ("impressions", "query", "behaviours", "category"):
        assert sum(mask.sum() for mask in found[kind].values()) == len(rows), kind
    assert set(found["category"]) == {"c0", "c1", "c2", "c3", "none"}
