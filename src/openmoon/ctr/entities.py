"""Products and queries in one numbering, so that a behaviour is one number whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from openmoon.io import hash_number

QUERY = ["query_text", "query_image"]
WORDS = 8  # of a query's text, the first ones
WORD_BUCKETS = 1 << 14


@dataclass(frozen=True)
class Entities:
    """Row 0 is nothing, then come the products in the catalogue's order, then the queries.

    products: product_id, category, shop_id, price, created_at. queries: distinct query_text, query_image.
    """

    products: pl.DataFrame
    queries: pl.DataFrame

    def __len__(self) -> int:
        return 1 + len(self.products) + len(self.queries)

    @property
    def first_query(self) -> int:
        """Row of the first query."""
        return 1 + len(self.products)

    def of_products(self, product_ids: pl.Series) -> np.ndarray:
        """Rows of products (n,) int32; 0 for those that the catalogue lacks."""
        return places(product_ids, self.products["product_id"]).to_numpy()

    @cached_property
    def asks(self) -> np.ndarray:
        """(rows,) int64 what queries ask with: 1 words, 2 a photo, 3 both; 0 for what is no query."""
        text, photo = (self.queries[name].is_not_null().to_numpy() for name in QUERY)
        return np.pad(text + 2 * photo, (self.first_query, 0)).astype(np.int64)

    @cached_property
    def words(self) -> np.ndarray:
        """(rows, WORDS) int32: the words of queries as hash buckets from 1, 0 = none; products have none."""
        texts = self.queries["query_text"].fill_null("").to_list()
        return np.concatenate([np.zeros((self.first_query, WORDS), np.int32), word_numbers(texts)])


def places(names: pl.Series, known: pl.Series) -> pl.Series:
    """(n,) Int32: which of the `known` each name is, counted from 1; 0 = none of them."""
    numbers = pl.Series(np.arange(1, len(known) + 1, dtype=np.int32))
    return names.replace_strict(known, numbers, default=0, return_dtype=pl.Int32)


def word_numbers(texts: Sequence[str]) -> np.ndarray:
    """(n, WORDS) int32: the first words of each text as hash buckets from 1, 0 = none."""
    words = [text.split()[:WORDS] for text in texts]
    bucket = {word: 1 + hash_number(word) % (WORD_BUCKETS - 1) for row in words for word in row}
    found = np.zeros((len(texts), WORDS), np.int32)
    for place, row in enumerate(words):
        found[place, : len(row)] = [bucket[word] for word in row]
    return found
