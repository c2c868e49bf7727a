"""Which pairs decide when stage 2 stops."""

from __future__ import annotations

import polars as pl

from openmoon.steps.posttrain import whole_queries


def test_a_query_is_judged_with_all_its_items_or_not_at_all() -> None:
    pairs = pl.DataFrame({"asked": ["a", "b", "a", "c", "b", "d"], "item": [1, 2, 3, 4, 5, 6]})
    assert whole_queries(pairs, "asked", 3)["item"].to_list() == [1, 2, 3, 5]
    assert whole_queries(pairs, "asked", 4)["item"].to_list() == [1, 2, 3, 5]
    assert whole_queries(pairs, "asked", 5)["item"].to_list() == [1, 2, 3, 4, 5]
    assert whole_queries(pairs, "asked").equals(pairs)
