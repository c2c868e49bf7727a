"""Numbers of users, products, queries, categories, shops and prices, as the training impressions met them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.ctr.entities import Entities
from openmoon.io import atomic_path

NONE, UNKNOWN, KNOWN = 0, 1, 2  # numbers: there is none; not met often enough; from here on the known ones
PRICES = 10  # buckets with equal numbers of products


@dataclass(frozen=True)
class Vocabulary:
    """Field → its known names, the first of which has the number `KNOWN`; `prices` are the borders between price buckets.

    What training did not meet, or met less than a minimum, is `UNKNOWN`: new users and products are not dropped.
    """

    names: Mapping[str, pl.Series]  # user, product, query, category, shop
    prices: np.ndarray

    def size(self, field: str) -> int:
        """How many numbers a field has."""
        return KNOWN + (len(self.prices) + 1 if field == "price" else len(self.names[field]))

    def numbers(self, field: str, names: pl.Series) -> np.ndarray:
        """(n,) int32 numbers of names, which may be integers; null is NONE."""
        known = self.names[field]
        names = names.cast(known.dtype)
        numbers = pl.Series(np.arange(KNOWN, KNOWN + len(known), dtype=np.int32))
        found = names.replace_strict(known, numbers, default=UNKNOWN, return_dtype=pl.Int32)
        return np.where(names.is_null().to_numpy(), NONE, found.to_numpy()).astype(np.int32)

    def lookup(self, field: str) -> dict[str, int]:
        """Known name → number, to look single names up again and again."""
        return dict(zip(self.names[field].cast(pl.String).to_list(), range(KNOWN, self.size(field)), strict=True))

    def of_entities(self, entities: Entities) -> dict[str, np.ndarray]:
        """(rows,) int32 numbers of every entity: `id` (products first, then queries, in one range), category, shop, price."""
        products = entities.products
        ids = np.zeros(len(entities), np.int32)
        ids[1 : entities.first_query] = self.numbers("product", products["product_id"])
        ids[entities.first_query :] = self.query_ids(query_names(entities.queries))
        price = products["price"].to_numpy()
        bucket = np.where(np.isnan(price), NONE, KNOWN + np.searchsorted(self.prices, price, side="right"))
        fields = {"category": self.numbers("category", products["category"]), "shop": self.numbers("shop", products["shop_id"]),
                  "price": bucket.astype(np.int32)}  # fmt: skip
        padded = {name: np.pad(values, (1, len(entities.queries))) for name, values in fields.items()}
        return {"id": ids, **padded}

    def query_ids(self, names: pl.Series) -> np.ndarray:
        """(n,) int32 `id` of queries by their names, in the range that follows that of the products."""
        numbers = self.numbers("query", names)
        return np.where(numbers > NONE, numbers + self.size("product"), NONE)

    def sizes(self) -> dict[str, int]:
        """Numbers of each field of `of_entities`, and of users."""
        return {"id": self.size("product") + self.size("query"),
                **{field: self.size(field) for field in ("category", "shop", "price", "user")}}  # fmt: skip

    def save(self, path: Path) -> None:
        """Write as one Parquet file: field, name in order of their numbers; the borders of prices as names."""
        tables = [pl.DataFrame({"field": [field] * len(names), "name": names}, schema={"field": pl.String, "name": pl.String})
                  for field, names in self.names.items()]  # fmt: skip
        prices = pl.DataFrame({"field": ["price"] * len(self.prices), "name": [repr(float(p)) for p in self.prices]},
                              schema={"field": pl.String, "name": pl.String})  # fmt: skip
        with atomic_path(path) as temporary:
            pl.concat([*tables, prices]).write_parquet(temporary)

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """What `save` wrote."""
        table = pl.read_parquet(path, glob=False)
        names = {field: table.filter(field=field)["name"] for field in ("user", "product", "query", "category", "shop")}
        return cls(names, table.filter(field="price")["name"].cast(pl.Float64).to_numpy())


def query_names(queries: pl.DataFrame) -> pl.Series:
    """What a query is called: its text, or where there is none its photo."""
    return queries.select(pl.coalesce("query_text", "query_image")).to_series()


def fit_vocabulary(counts: Mapping[str, pl.DataFrame], products: pl.DataFrame, min_count: int) -> Vocabulary:
    """The users, products and queries with at least `min_count` training impressions, by `counts` (field → name, count; a name
    may stand there more than once); categories, shops and prices are those of the products among them."""
    often = {field: _often(table, min_count) for field, table in counts.items()}
    met = products.filter(pl.col("product_id").is_in(often["product"].implode()))
    often |= {"category": met["category"].drop_nulls().unique().sort(), "shop": met["shop_id"].drop_nulls().unique().sort()}
    prices = met["price"].drop_nulls().to_numpy()
    borders = np.unique(np.quantile(prices, np.linspace(0, 1, PRICES + 1)[1:-1])) if len(prices) else np.zeros(0)
    return Vocabulary(often, borders)


def _often(counts: pl.DataFrame, least: int) -> pl.Series:
    """The names that occur often enough, the most frequent first."""
    total = counts.group_by("name").agg(pl.col("count").sum()).filter(pl.col("count") >= least)
    return total.sort(-pl.col("count").cast(pl.Int64), "name")["name"]
