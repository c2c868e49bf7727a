"""What a search text names: product types, brands, materials, colours …, as the catalogue itself calls them.

A name is found as whole words. Where a script puts no spaces between words every letter counts as one, so that a name is found
wherever its letters stand together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import polars as pl

MOST_WORDS = 4  # longer attribute values are sentences, not names
UNSPACED = r"(?:[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*)"


class Entities:
    """A lexicon of names. Words are compared in lower case and without a plural s; the longest name at a place counts."""

    def __init__(self, names: Iterable[str]) -> None:
        keys = _spaced(pl.Series(sorted({name for name in names if 0 < len(name.split()) <= MOST_WORDS}), dtype=pl.String))
        self.names = sorted(set(keys.to_list()) - {""}, key=lambda name: (-len(name), name))  # of two the first is found

    @classmethod
    def of_catalog(cls, catalog: pl.DataFrame) -> Entities:
        """Every level of `category` ("Shoes > Boot" names both) and every value of `attributes` (JSON objects)."""
        levels = [level for path in catalog["category"].drop_nulls().unique() for level in _levels(path)]
        values = {value for text in catalog["attributes"].drop_nulls().unique() for value in json.loads(text).values()}
        parts = [part for value in values for part in value.split(",")]
        return cls([*levels, *parts])

    def count(self, texts: pl.Series) -> pl.Series:
        """How many different names each text holds; 0 for null."""
        if not self.names:
            return pl.Series(texts.name, [0] * len(texts), pl.UInt32)
        found = _spaced(texts).str.extract_many(self.names, leftmost=True)
        return found.list.unique().list.len().fill_null(0)


def _levels(path: str) -> list[str]:
    for mark in (">", "/", "|"):
        path = path.replace(mark, "\n")
    return [level.strip() for level in path.split("\n")]


def _spaced(texts: pl.Series) -> pl.Series:
    """Words in spaces of their own on both sides: a name is found only as whole words, and neighbours share no space."""
    words = texts.str.normalize("NFKC").str.to_lowercase().str.replace_all(UNSPACED, " ${0} ")
    words = words.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.strip_chars()
    singular = words.str.replace_all(r"(ss|x|z|ch|sh)es\b", "$1").str.replace_all(r"(\pL{3,}?)s\b", "$1")
    return pl.select(pl.when(singular != "").then(pl.format(" {} ", singular.str.replace_all(" ", "  ")))
                     .otherwise(pl.when(singular.is_null()).then(None).otherwise(pl.lit("")))).to_series()  # fmt: skip
