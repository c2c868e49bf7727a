from __future__ import annotations

import polars as pl

from openmoon.data.pairs import behaviour_pairs
from openmoon.data.text import item_texts


def events(rows: list[tuple[str, str, str | None, str | None]]) -> pl.DataFrame:
    schema = {"action": pl.String, "product_id": pl.String, "query_text": pl.String, "query_image": pl.String}
    return pl.DataFrame(rows, schema, orient="row").with_columns(pl.lit(None, pl.String).alias("split"))


def test_chosen_actions_with_a_query_become_distinct_pairs() -> None:
    found = behaviour_pairs(events([
        ("click", "a", " Red  Boots ", None), ("purchase", "a", "red boots", None), ("impression", "b", "red boots", None),
        ("click", "b", None, "photo.jpg"), ("click", "c", None, None), ("click", "d", "  ", None), 
        ("cart", "a", "red boots", None),
    ]), ["click", "purchase"])  # fmt: skip
    assert found.select("query_text", "query_image", "product_id", "count", "action").rows() == [
        ("red boots", None, "a", 2, "purchase"),
        (None, "photo.jpg", "b", 1, "click"),
    ]


def test_texts_say_what_there_is() -> None:
    catalog = pl.DataFrame({
        "product_id": ["1", "2", "3"], "title": [" Red  boots. ", None, " "], "category": ["Shoes", "Bags", None],
        "attributes": ['{"colour": "red", "heel": "flat"}', None, "{}"], "description": ["Warm. ", None, None],
    }, schema_overrides={"title": pl.String})  # fmt: skip
    assert item_texts(catalog).rows() == [
        ("1", "Red boots", "Red boots. Shoes. colour: red, heel: flat. Warm"), ("2", None, "Bags"), ("3", None, None),
    ]  # fmt: skip
