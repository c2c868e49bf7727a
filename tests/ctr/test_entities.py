"""Products and queries in one numbering."""

from __future__ import annotations

import polars as pl

from openmoon.ctr.entities import WORDS
from tests.ctr.tables import catalog, entities, shop_log

ASKED = pl.DataFrame({"query_text": ["a b", None, "a b", "a b", None, "c", None],
                      "query_image": [None, "1.jpg", None, "1.jpg", None, None, "1.jpg"]})  # fmt: skip
FOUND = entities(catalog(3), ASKED)


def test_the_same_query_is_there_once_and_null_queries_are_not() -> None:
    assert FOUND.queries.rows() == [("a b", None), (None, "1.jpg"), ("a b", "1.jpg"), ("c", None)]
    assert len(FOUND) == 1 + 3 + 4
    assert FOUND.first_query == 4


def test_rows_are_found_again() -> None:
    assert FOUND.of_products(pl.Series(["p2", "gone", "p0"])).tolist() == [3, 0, 1]


def test_words_are_shared_between_queries_and_cut() -> None:
    words = FOUND.words
    assert words.shape == (8, WORDS)
    assert not words[:4].any()
    assert not words[5].any()
    assert words[4].tolist() == words[6].tolist()
    assert (words[4] > 0).sum() == 2
    many = entities(
        catalog(1), pl.DataFrame({"query_text": [" ".join("abcdefghijkl"), "c"], "query_image": ["x", "x"]})
    ).words
    assert (many[2] > 0).all()
    assert many[3, 0] == many[2, 2]


def test_texts_that_a_shopper_would_call_the_same_are_one_query() -> None:
    assert shop_log().entities.queries["query_text"].drop_nulls().sort().to_list() == ["bag", "lamp", "red boots"]
