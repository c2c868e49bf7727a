"""The log as columns: requests, their candidates, and the behaviours before them. Everything that predicts reads this."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from openmoon.config.ctr import CtrConfig
from openmoon.ctr.entities import QUERY, Entities, entities
from openmoon.ctr.histories import QUERY as QUERY_KIND
from openmoon.ctr.histories import Histories, histories, kinds
from openmoon.ctr.impressions import clean_text, impressions
from openmoon.ctr.time_split import SPLIT_NAMES, TRAIN, time_split
from openmoon.ctr.vocabulary import Vocabulary, fit_vocabulary


@dataclass(frozen=True)
class CtrLog:
    """Requests in order of time and, request after request, their candidates.

    Per request (R,): user (number of the vocabulary), query (row of entities, 0 = none), seconds since the epoch, split, and
    where the behaviours before it begin and end in `histories`. Candidates of request r are `first[r]:first[r + 1]`; per
    candidate (N,): item (row of entities), label, position (0 = not known), propensity (NaN = not known), row of the events.
    """

    entities: Entities
    vocabulary: Vocabulary
    histories: Histories
    user: np.ndarray
    user_name: pl.Series
    query: np.ndarray
    seconds: np.ndarray
    split: np.ndarray
    start: np.ndarray
    end: np.ndarray
    first: np.ndarray
    item: np.ndarray
    label: np.ndarray
    position: np.ndarray
    propensity: np.ndarray
    row: np.ndarray
    counts: dict[str, int]

    def requests(self, name: str) -> np.ndarray:
        """Numbers of the requests in the split `name` (train, val or test)."""
        return np.flatnonzero(self.split == SPLIT_NAMES[name])

    def candidates(self, requests: np.ndarray) -> np.ndarray:
        """Numbers of the candidates of some requests, in order."""
        counts = self.first[requests + 1] - self.first[requests]
        return np.repeat(self.first[requests] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(
            counts.sum()
        )

    @property
    def request_of(self) -> np.ndarray:
        """(N,) request of every candidate."""
        return np.repeat(np.arange(len(self.user)), np.diff(self.first))


def build_log(catalog: pl.DataFrame, events: pl.DataFrame, config: CtrConfig) -> CtrLog:
    """Read a shop's tables as columns. Behaviours are strictly before the request; vocabularies come from the training part.

    Raises `UserError` where there is nothing to predict, and for a split with nothing in a part.
    """
    found = impressions(events, config.label)
    shown = found.table
    requests = shown.unique("request", keep="first", maintain_order=True)
    seconds = _seconds(requests["timestamp"])
    lengths = shown.group_by("request", maintain_order=True).len()["len"].to_numpy().astype(np.int64)
    split, borders = time_split(requests["timestamp"], lengths, config.split)
    asked = events.select(query_text=clean_text(pl.col("query_text")), query_image="query_image")
    everything = entities(catalog, asked)
    names = events["user_id"].unique(maintain_order=True)
    numbers = pl.Series(np.arange(len(names), dtype=np.int64))
    table = _behaviours(events, requests, everything, config)
    table = table.with_columns(user=table["user_id"].replace_strict(names, numbers))
    past = histories(table, len(names))
    who = requests["user_id"].replace_strict(names, numbers).to_numpy()
    start, end = past.before(who, seconds)
    in_train = shown.filter(pl.lit(np.repeat(split, lengths) == TRAIN))
    vocabulary = fit_vocabulary(in_train, everything.products, config.min_count)
    counts = {**found.counts, **borders}
    return CtrLog(
        everything, vocabulary, past, user=vocabulary.numbers("user", requests["user_id"]), user_name=requests["user_id"],
        query=everything.of_queries(requests), seconds=seconds, split=split, start=start, end=end,
        first=np.concatenate([[0], np.cumsum(lengths)]), item=everything.of_products(shown["product_id"]),
        label=shown["label"].to_numpy().astype(np.float32), position=shown["position"].fill_null(0).to_numpy().astype(np.int32),
        propensity=shown["propensity"].to_numpy().astype(np.float32), row=shown["row"].to_numpy(), counts=counts,
    )  # fmt: skip


def _behaviours(events: pl.DataFrame, requests: pl.DataFrame, everything: Entities, config: CtrConfig) -> pl.DataFrame:
    """user_id, entity, kind, seconds: what was chosen, and what was asked."""
    chosen = events.filter(pl.col("action").is_in(list(config.behaviours)))
    parts = [chosen.select("user_id", "timestamp").with_columns(entity=everything.of_products(chosen["product_id"]),
                                                                 kind=kinds(chosen["action"]))]  # fmt: skip
    if config.queries:
        asked = requests.filter(pl.any_horizontal(pl.col(QUERY).is_not_null()))
        parts.append(asked.select("user_id", "timestamp").with_columns(
            entity=everything.of_queries(asked), kind=pl.lit(QUERY_KIND, pl.Int8)))  # fmt: skip
    table = pl.concat(parts)
    return table.with_columns(seconds=_seconds(table["timestamp"]))


def _seconds(times: pl.Series) -> np.ndarray:
    return times.dt.epoch("s").to_numpy()
