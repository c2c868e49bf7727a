"""A log that is read some shoppers at a time is the log that is read at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from openmoon.ctr import events as module
from openmoon.ctr import log as log_module
from openmoon.ctr.build_log import build_log
from openmoon.ctr.events import compact
from openmoon.ctr.log import CtrLog
from openmoon.errors import UserError
from tests.ctr.tables import catalog, config, event, events, numbered, shop_events

SPLIT = {"val": 0.2, "test": 0.2, "gap": 2.0}


def requests(log: CtrLog) -> list[tuple[Any, ...]]:
    """Everything that the log says of each request, behaviours and candidates included."""
    names, past = log.shoppers.to_list(), log.histories
    return [
        (log.seconds[r], names[log.shopper[r] - 1], log.user[r], log.query[r], log.split[r],
         *(tuple(column[log.start[r] : log.end[r]].tolist()) for column in (past.entity, past.kind, past.seconds)),
         *(tuple(column[log.first[r] : log.first[r + 1]].tolist())
           for column in (log.item, log.label, log.position, np.nan_to_num(log.propensity, nan=-1), log.row)))
        for r in range(len(log.user))
    ]  # fmt: skip


def some_events() -> pl.DataFrame:
    """A shop's events, a shopper who only looks, and one who clicks what the log did not show."""
    looked = [event("looks", hour * 3600, "impression", "p1", text=None, session=f"l{hour}") for hour in range(0, 180, 7)]
    unseen = [event("clicks", hour * 3600, "click", "p2", session="c") for hour in range(0, 180, 9)]
    return pl.concat([shop_events(), events(*looked, *unseen)]).sort("timestamp", maintain_order=True)


@pytest.mark.parametrize(("most", "chunk"), [(300, 10_000), (100, 7), (1, 64)])
def test_in_parts(most: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    monkeypatch.setattr(log_module, "BLOCK", 3)
    table, settings = numbered(some_events()), config(split=SPLIT)
    whole, parts = (build_log(catalog(), table, settings, size) for size in (10**9, most))
    assert (np.diff(whole.seconds) >= 0).all()
    assert (np.diff(parts.seconds) < 0).any()  # so these are really parts
    assert sorted(requests(parts), key=repr) == sorted(requests(whole), key=repr)
    assert parts.counts == whole.counts
    assert all(parts.vocabulary.names[field].equals(names) for field, names in whole.vocabulary.names.items())
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(parts.shown(split), whole.shown(split))


def test_shown_are_the_impressions_of_a_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "BLOCK", 3)
    log = build_log(catalog(), numbered(shop_events()), config(split=SPLIT))
    shown = log.shown("train")
    for entity in range(len(log.entities)):
        of_train = [log.split[r] == 0 for r in log.request_of(np.flatnonzero(log.item == entity))]
        assert shown[entity] == sum(of_train)
    assert shown.sum() == log.counts["in train"]


@pytest.mark.parametrize(("rows", "missing"), [
    ([], "impression"),
    ([event("u", 0, "click", "p1")], "impression"),
    ([event("u", 0, "impression", "p1"), event("u", 1, "cart", "p1")], "click"),
])  # fmt: skip
def test_a_log_with_nothing_to_predict_is_refused(rows: list[tuple[Any, ...]], missing: str) -> None:
    with pytest.raises(UserError, match=f"no usable event has the action '{missing}'"):
        build_log(catalog(), numbered(events(*rows)), config())


def test_an_events_table_without_a_chunk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no usable event has the action 'impression'"):
        build_log(catalog(), compact([], catalog()["product_id"], tmp_path), config())


def test_requests_at_one_moment_are_in_order_of_their_visits() -> None:
    rows = [event("u", 0, "impression", f"p{number}", session=f"visit {number}") for number in range(9)]
    later = [event("u", 9 * 3600 + n, "impression", "p1", session=f"later {n}") for n in range(8)]
    log = build_log(catalog(), numbered(events(*rows, *later, event("u", 1, "click", "p3", session="visit 3"))),
                    config(split={"val": 0.2, "test": 0.2, "gap": 0}))  # fmt: skip
    assert log.item[:9].tolist() == list(range(1, 10))
