"""What needs no model, on counts made by hand."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from openmoon.ctr import log as log_module
from openmoon.ctr.baselines import popularity_only, position_only
from openmoon.ctr.build_log import build_log
from tests.ctr.tables import START, catalog, config, event, events, numbered


@pytest.mark.parametrize("block", [3, log_module.BLOCK])
def test_shares_of_choices_are_drawn_to_the_mean(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """p0 is shown 30 times at place 1 and chosen 12 times, p1 10 times at place 2 and never; p2 is new."""
    monkeypatch.setattr(log_module, "BLOCK", block)
    rows = [event("u", n * 60, "impression", "p0" if n < 30 else "p1", session=f"{n}", position=1 if n < 30 else 2)
            for n in range(40)]  # fmt: skip
    rows += [event("u", n * 60 + 5, "click", "p0", session=f"{n}") for n in range(12)]
    later = [(100, "p0", 2), (200, "p0", 2), (200, "p1", 1), (200, "p2", 3)]
    rows += [event("v", h * 3600, "impression", p, session="x", position=place) for h, p, place in later]
    rows += [
        event("v", 200 * 3600 + 5, "click", p, session="x") for p in ("p1", "p2")
    ]  # of the test part, so not counted
    split = {"val": START + timedelta(hours=50), "test": START + timedelta(hours=150), "gap": 0}
    log = build_log(catalog(3), numbered(events(*rows), 3), config(split=split))
    test = log.candidates(log.requests("test"))
    order = np.argsort(log.item[test])
    often, seldom, new = (12 + 20 * 0.3) / 50, 20 * 0.3 / 30, 0.3
    assert popularity_only(log, test)[order] == pytest.approx([often, seldom, new])
    assert position_only(log, test)[order] == pytest.approx([seldom, often, new])
    assert popularity_only(log, test).dtype == np.float32
