"""The two texts of a product: its title, and the richer text that adds category, attributes and description (MOON 2a)."""

from __future__ import annotations

import json

import polars as pl


def item_texts(catalog: pl.DataFrame) -> pl.DataFrame:
    """product_id, title, rich — null where there is nothing to say.

    `rich` is "title. category. name: value, name: value. description", parts that are missing left out.
    """
    attributes = pl.col("attributes").map_elements(_attributes_text, return_dtype=pl.String, skip_nulls=True)
    parts = [_clean(pl.col("title")), _clean(pl.col("category")), _clean(attributes), _clean(pl.col("description"))]
    rich = pl.concat_str(parts, separator=". ", ignore_nulls=True)
    return catalog.select("product_id", _clean(pl.col("title")).alias("title"), rich.replace("", None).alias("rich"))


def _clean(text: pl.Expr) -> pl.Expr:
    text = text.str.replace_all(r"\s+", " ").str.strip_chars(" .")
    return pl.when(text != "").then(text)


def _attributes_text(attributes: str) -> str:
    return ", ".join(f"{name}: {value}" for name, value in json.loads(attributes).items())


def is_torn(text: str) -> bool:
    """Whether a text holds half a character (a lone surrogate), which JSON can carry and no file of text can hold."""
    return any("\ud800" <= letter <= "\udfff" for letter in text)
