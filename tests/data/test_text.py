from __future__ import annotations

import polars as pl

from openmoon.data.text import item_texts


def test_texts_say_what_there_is() -> None:
    catalog = pl.DataFrame({
        "product_id": ["1", "2", "3"], "title": [" Red  boots. ", None, " "], "category": ["Shoes", "Bags", None],
        "attributes": ['{"colour": "red", "heel": "flat"}', None, "{}"], "description": ["Warm. ", None, None],
    }, schema_overrides={"title": pl.String})  # fmt: skip
    assert item_texts(catalog).rows() == [
        ("1", "Red boots", "Red boots. Shoes. colour: red, heel: flat. Warm"), ("2", None, "Bags"), ("3", None, None),
    ]  # fmt: skip
