"""A small shop whose shoppers like one category each, as tables, as a log, and with vectors of its products."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import polars as pl

from openmoon.config.ctr import CtrConfig
from openmoon.ctr.build import Parts
from openmoon.ctr.build_log import build_log
from openmoon.ctr.content import VectorRows, vector_rows
from openmoon.ctr.entities import Entities
from openmoon.ctr.events import Events, compact
from openmoon.ctr.log import CtrLog

START = datetime(2024, 3, 1)
EVENTS = {
    "user_id": pl.String, "timestamp": pl.Datetime("us"), "action": pl.String, "product_id": pl.String,
    "query_text": pl.String, "query_image": pl.String, "session_id": pl.String, "position": pl.Int32,
    "propensity": pl.Float64,
}  # fmt: skip
SMALL: dict[str, Any] = {
    "dim": 4, "hidden": [12, 8], "attention": 6, "length": 8, "search": 3, "min_count": 1, "batch_size": 32,
    "split": {"gap": 0.0}, "make_epochs": 1, "semantic_ids": {"levels": 2, "codes": 4},
}  # fmt: skip


def config(**changes: Any) -> CtrConfig:
    """Settings that train in moments."""
    return CtrConfig.model_validate(SMALL | changes)


def event(
    user: str, after: float, action: str, product: str, text: str | None = None, photo: str | None = None,
    session: str | None = None, position: int | None = None, propensity: float | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    """A row of the events, `after` seconds after START."""
    return user, START + timedelta(seconds=float(after)), action, product, text, photo, session, position, propensity


def events(*rows: tuple[Any, ...]) -> pl.DataFrame:
    """The table of some rows that `event` made."""
    return pl.DataFrame(list(rows), schema=EVENTS, orient="row")


def numbered(table: pl.DataFrame, products: int = 24) -> Events:
    """That table as numbers."""
    return compact([table.with_row_index("row")], catalog(products)["product_id"], Path(gettempdir()))


def entities(products: pl.DataFrame, asked: pl.DataFrame) -> Entities:
    """Products, and the distinct queries of `asked`."""
    queries = asked.select("query_text", "query_image").filter(pl.any_horizontal(pl.all().is_not_null()))
    known = products.select("product_id", "category", "shop_id", "price", "created_at")
    return Entities(known, queries.unique(maintain_order=True))


def catalog(products: int = 24, categories: int = 4) -> pl.DataFrame:
    """p0, p1, …: categories take turns, the last product has no category, shop or price."""
    numbers = np.arange(products)
    last = pl.int_range(products) == products - 1
    return pl.DataFrame({
        "product_id": [f"p{n}" for n in numbers], "category": [f"c{n % categories}" for n in numbers],
        "shop_id": [f"s{n % 3}" for n in numbers], "price": 5.0 + numbers % 7,
        "created_at": pl.Series([None] * products, dtype=pl.Datetime("us")),
    }).with_columns(pl.when(~last).then(pl.col(name)) for name in ("category", "shop_id", "price"))  # fmt: skip


def shop_events(requests: int = 160, users: int = 8, products: int = 24, seed: int = 0) -> pl.DataFrame:
    """Requests over eight days, every tenth of them with more candidates than one row of a batch takes."""
    random = np.random.default_rng(seed)
    rows, asked = [], [("red boots", None), ("Bag", None), (None, "photo.jpg"), ("lamp", "lamp.jpg"), (None, None)]
    for number, second in enumerate(np.sort(random.integers(0, 8 * 86_400, requests))):
        user, (text, photo) = int(random.integers(users)), asked[random.integers(len(asked))]
        many = 20 if number % 10 == 3 else int(random.integers(1, 7))
        for place, product in enumerate(random.permutation(products)[:many], 1):
            row = {"user": f"u{user}", "product": f"p{product}", "text": text, "photo": photo, "session": f"s{number}"}
            rows.append(event(**row, after=second, action="impression", position=place, propensity=1 / place))
            if random.random() < (0.6 if product % 4 == user % 4 else 0.15) / place**0.3:
                rows.append(event(**row, after=second + 5 + place, action="click"))
                if random.random() < 0.3:
                    rows.append(event(**row, after=second + 60 + place, action="cart"))
    return events(*rows).sort("timestamp", maintain_order=True)


def shop_log(settings: CtrConfig | None = None, **changes: Any) -> CtrLog:
    """The log of that shop."""
    return build_log(catalog(), numbered(shop_events(**changes)), settings or config())


def shop_vectors(log: CtrLog, dim: int = 8, encoder: str = "e", seed: int = 0) -> VectorRows:
    """Vectors around one direction per category. Product p1 and the last query have none."""
    random = np.random.default_rng(seed)
    middle = random.normal(size=(4, dim))
    count = log.entities.first_query - 1
    matrix = middle[np.arange(count) % 4] + 0.5 * random.normal(size=(count, dim))
    queries = random.normal(size=(len(log.entities.queries), dim)).astype(np.float32)
    queries[-1:] = np.nan
    there = np.arange(count) != 1
    ids = log.entities.products["product_id"].filter(pl.Series(there)).to_list()
    return vector_rows(log.entities, ids, matrix[there].astype(np.float32), queries, encoder)


def shop_parts(log: CtrLog, settings: CtrConfig) -> Parts:
    """What models of that shop are built on."""
    return Parts(log.entities, log.vocabulary, settings, shop_vectors(log))
