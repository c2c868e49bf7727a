from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from openmoon.data.pairs.behaviour import behaviour_pairs, co_click_pairs, under_one_label, with_one_name

START = datetime(2025, 1, 1, 12)


def events(rows: list[tuple[str, str, str | None, str | None]], users: str = "", sessions: bool = True) -> pl.DataFrame:
    """(action, product, text, photo), a minute apart; the n-th letter of `users` acts in the n-th row, in one visit each."""
    schema = {"action": pl.String, "product_id": pl.String, "query_text": pl.String, "query_image": pl.String}
    who = list(users or "u" * len(rows))
    return pl.DataFrame(rows, schema, orient="row").with_columns(
        pl.lit(None, pl.String).alias("split"), pl.Series("user_id", who),
        pl.Series("session_id", [f"visit {u}" if sessions else None for u in who], pl.String),
        pl.Series("timestamp", [START + timedelta(minutes=n) for n in range(len(rows))]),
    )  # fmt: skip


def test_chosen_actions_with_a_query_become_distinct_pairs() -> None:
    found = behaviour_pairs(events([
        ("click", "a", " Red  Boots ", None), ("purchase", "a", "red boots", None), ("impression", "b", "red boots", None),
        ("click", "b", None, "photo.jpg"), ("click", "c", None, None), ("click", "d", "  ", None),
        ("cart", "a", "red boots", None),
    ], "uvuvuvu"), ["click", "purchase"])  # fmt: skip
    assert found.select("query_text", "query_image", "product_id", "count", "action").rows() == [
        ("red boots", None, "a", 2, "purchase"),
        (None, "photo.jpg", "b", 1, "click"),
    ]
    assert found["users"].to_list() == [["u", "v"], ["v"]]
    assert found["visits"].to_list() == [["u/visit u", "v/visit v"], ["v/visit v"]]
    assert found["latest"].to_list() == [START + timedelta(minutes=1), START + timedelta(minutes=3)], "carts are not asked for"


def test_one_text_in_two_unicode_forms_is_one_query() -> None:
    found = behaviour_pairs(events([("click", "a", "cafe\u0301 mug", None), ("click", "b", "CAF\u00c9 mug", None),
                                    ("click", "c", "\uff4d\uff55\uff47", None)]), ["click"])  # fmt: skip
    assert found["query_text"].to_list() == ["caf\u00e9 mug", "caf\u00e9 mug", "mug"]


def test_without_sessions_a_visit_is_a_day_of_a_shopper() -> None:
    found = behaviour_pairs(events([("click", "a", "mug", None)] * 2, "uv", sessions=False), ["click"])
    assert found["visits"].to_list() == [["u/u/2025-01-01", "v/v/2025-01-01"]]


def test_a_pair_that_is_held_out_is_not_taught() -> None:
    log = events([("click", "a", "boots", None), ("click", "a", "boots ", None), ("purchase", "a", "Boots", None),
                  ("purchase", "b", "boots", None), ("click", "c", None, "p.jpg"), ("click", "c", None, "p.jpg")])  # fmt: skip
    log = log.with_columns(split=pl.Series(["train", "train", "test", None, "val", "train"]))
    for order in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]):
        found = behaviour_pairs(under_one_label(log[order]), ["click", "purchase"])
        assert sorted(found.select("product_id", "count", "action", "split").rows()) == [
            ("a", 1, "purchase", "test"), ("b", 1, "purchase", None), ("c", 1, "click", "val")]  # fmt: skip


def test_one_picture_under_two_names_is_one_query() -> None:
    log = events([
        ("click", "a", None, "1.jpg"), ("purchase", "a", None, "2.jpg"), ("click", "a", "mug", "1.jpg"),
        ("click", "b", None, "2.jpg"), ("click", "a", "mug", "broken.jpg"), ("click", "a", "mug", None),
    ], "uvuvww")  # fmt: skip
    log = log.with_columns(split=pl.Series(["train", "test", None, "val", "train", None]))
    keys = pl.col("query_image").replace_strict({"1.jpg": "key", "2.jpg": "key"}, default=None).alias("query_image_key")
    found = with_one_name(behaviour_pairs(log, ["click", "purchase"]).with_columns(keys))
    assert found.select("query_text", "query_image_key", "product_id", "count", "action", "split", "users").rows() == [
        (None, "key", "a", 2, "purchase", "test", ["u", "v"]), ("mug", "key", "a", 1, "click", None, ["u"]),
        (None, "key", "b", 1, "click", "val", ["v"]), ("mug", None, "a", 2, "click", "train", ["w"]),
    ]  # fmt: skip
    assert found["visits"].to_list()[0] == ["u/visit u", "v/visit v"]
    assert found["latest"][0] == START + timedelta(minutes=1)
    assert with_one_name(found).equals(found)


def test_products_clicked_in_a_row_pair_up_within_a_visit() -> None:
    catalog = pl.DataFrame({"product_id": ["a", "b", "c"], "title": ["A", "B", None], "image": ["a.jpg", None, None]})
    rows = [("click", p, "whatever", None) for p in "aabac"]
    log = events(rows, "uuuvu")
    found = co_click_pairs(log, ["click"], catalog)
    # u clicks a (twice, once counted), b, c; v only a; c has nothing to show as a query
    assert found.select("query_text", "query_image", "product_id").rows() == [("A", "a.jpg", "b"), ("B", None, "c")]
    shuffled = co_click_pairs(log[[4, 2, 0, 3, 1]], ["click"], catalog)
    assert sorted(shuffled.select("query_text", "product_id").rows()) == [("A", "b"), ("B", "c")]
    assert found["asker"].to_list() == ["a", "b"]
    assert found["latest"].to_list() == [START + timedelta(minutes=2), START + timedelta(minutes=4)], "of the second click"
    bought = events([*rows, ("purchase", "b", None, None), ("purchase", "a", None, None)], "uuuvuuu")
    second = co_click_pairs(bought, ["click", "purchase"], catalog)
    assert second["action"].to_list() == ["purchase", "click"]
    assert second["latest"].to_list() == [START + timedelta(minutes=5), START + timedelta(minutes=4)], "of what teaches"
    labelled = bought.with_columns(split=pl.Series(["train", "train", "val", "val", "test", "val", "train"]))
    assert co_click_pairs(labelled, ["click", "purchase"], catalog)["split"].to_list() == ["val", "test"]
    same_names = log.with_columns(session_id=pl.lit("1"))  # visits numbered for each shopper
    assert co_click_pairs(same_names, ["click"], catalog).rows() == found.with_columns(visits=pl.lit(["u/1"])).rows()
    by_day = co_click_pairs(events(rows, "uuuvu", sessions=False), ["click"], catalog)
    assert by_day.select("query_text", "product_id").rows() == found.select("query_text", "product_id").rows()
