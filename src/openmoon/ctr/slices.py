"""Parts of the test impressions that are looked at by themselves: new products, rarely shown ones, kinds of queries."""

from __future__ import annotations

import numpy as np
import polars as pl

from openmoon.ctr.log import CtrLog
from openmoon.ctr.vocabulary import UNKNOWN

DAY = 86_400
NEW_PRODUCTS, UNKNOWN_PRODUCTS = "new (< 24 h)", "unknown to training"  # slices of the kind "product"
STEP = 1 << 22  # candidates that are looked at together
CATEGORIES = 10  # the largest ones are slices
_LENGTHS = ((0, 0), (1, 5), (6, 20), (21, 50), (51, 200), (201, 10**9))


def slices(log: CtrLog, rows: np.ndarray, uniform: np.ndarray | None) -> dict[str, dict[str, np.ndarray]]:
    """Kind of slice → name → (n,) bool over the candidates `rows` of the log. `uniform` (n,): shown in random order.

    There are none by age in a log without moments, and none by query in one without queries."""
    item, request = log.item[rows], log.request_of(rows)
    found: dict[str, dict[str, np.ndarray]] = {}
    unknown = log.vocabulary.of_entities(log.entities)["id"][item] == UNKNOWN
    found["product"] = {NEW_PRODUCTS: _age(log, rows) < DAY} if log.timed else {}
    found["product"] |= {UNKNOWN_PRODUCTS: unknown, "known to training": ~unknown}
    if uniform is not None:
        found["exposure"] = {"uniform": uniform, "ranked": ~uniform}
    decile = impression_deciles(log)[item]
    found["impressions"] = {f"decile {number}": decile == number for number in range(1, 11)}
    found["exposure class"] = {"tail (lower half)": decile <= 5, "head (top fifth)": decile >= 9}
    if len(log.entities.queries):
        asks = log.entities.asks[log.query[request]]
        found["query"] = {
            name: asks == number for number, name in enumerate(("nothing asked", "words", "photo", "words and photo"))
        }
    length = log.behaviours[request]
    found["behaviours"] = {_range(low, high): (length >= low) & (length <= high) for low, high in _LENGTHS}
    found["category"] = _categories(log, item)
    return {kind: {name: mask for name, mask in parts.items() if mask.any()} for kind, parts in found.items()}


def impression_deciles(log: CtrLog) -> np.ndarray:
    """(rows of entities,) decile of each product by training impressions: 1 the tenth of the products shown least, 10 most."""
    catalogue = log.catalogue
    shown = log.shown("train")[catalogue]
    place = np.empty(len(shown), np.int64)
    place[np.argsort(shown, kind="stable")] = np.arange(len(shown))
    decile = np.zeros(len(log.entities), np.int64)
    decile[catalogue] = 1 + place * 10 // max(1, len(shown))
    return decile


def _age(log: CtrLog, rows: np.ndarray) -> np.ndarray:
    """(n,) seconds since the product of a candidate came into the catalogue; where that is not known since its first impression,
    unless that is within the log's first day, when nobody knows."""
    first = np.full(len(log.entities), np.iinfo(np.int64).max)
    for start in range(0, len(log.item), STEP):
        some = np.arange(start, min(start + STEP, len(log.item)))
        np.minimum.at(first, log.item[some], log.seconds[log.request_of(some)])
    first[first < log.seconds.min() + DAY] = np.iinfo(np.int64).min // 2
    created = log.entities.products["created_at"].dt.epoch("s")
    known = created.is_not_null().to_numpy()
    first[1 : log.entities.first_query][known] = created.drop_nulls().to_numpy()
    return log.seconds[log.request_of(rows)] - first[log.item[rows]]


def _categories(log: CtrLog, item: np.ndarray) -> dict[str, np.ndarray]:
    names = log.entities.products["category"].gather(pl.Series(item.astype(np.int64) - 1)).fill_null("none")
    counts = names.value_counts().sort("count", names.name, descending=[True, False])
    largest = counts.head(CATEGORIES)[names.name]
    return {name: (names == name).to_numpy() for name in largest}


def _range(low: int, high: int) -> str:
    if low == high:
        return str(low)
    return f"{low}–{high}" if high < 10**9 else f"over {low - 1}"
