"""The log as columns: requests, their candidates, and the behaviours before them. Everything that predicts reads this."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from openmoon.config.ctr import CtrConfig
from openmoon.ctr.entities import Entities
from openmoon.ctr.events import Events
from openmoon.ctr.histories import QUERY as QUERY_KIND
from openmoon.ctr.histories import Histories, histories
from openmoon.ctr.impressions import impressions
from openmoon.ctr.time_split import SPLIT_NAMES, TRAIN, time_split
from openmoon.ctr.vocabulary import NONE, Vocabulary, fit_vocabulary, query_names
from openmoon.data.schema import ACTIONS


@dataclass(frozen=True)
class CtrLog:
    """Requests in order of time and, request after request, their candidates.

    Per request (R,): user (number of the vocabulary), shopper (number from 1 in the order of the names `shoppers`), query (row of
    entities, 0 = none), seconds since the epoch, split, and where the behaviours before it begin and end in `histories`.
    Candidates of request r are `first[r]:first[r + 1]`; per candidate (N,): item (row of entities), label, position (0 = not
    known), propensity (NaN = not known), row of the events file.

    Of a log that is not a shop's: `timed` says whether seconds are moments (otherwise all are 0), `offered` which entities can
    be candidates (None: all products), `met` (R,) how many behaviours there were (None: as many as are kept).
    """

    entities: Entities
    vocabulary: Vocabulary
    histories: Histories
    user: np.ndarray
    shopper: np.ndarray
    shoppers: pl.Series
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
    timed: bool = True
    offered: np.ndarray | None = None
    met: np.ndarray | None = None

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

    @property
    def catalogue(self) -> np.ndarray:
        """Rows of the products that can be candidates."""
        return np.arange(1, self.entities.first_query) if self.offered is None else self.offered

    @property
    def behaviours(self) -> np.ndarray:
        """(R,) how many behaviours came before each request."""
        return self.end - self.start if self.met is None else self.met


def build_log(catalog: pl.DataFrame, events: Events, config: CtrConfig) -> CtrLog:
    """Read a shop's tables as columns. Behaviours are strictly before the request; vocabularies come from the training part.

    Raises `UserError` where there is nothing to predict, and for a split with nothing in a part.
    """
    found = impressions(events, config.label)
    shown = found.table
    requests = shown.unique("request", keep="first", maintain_order=True)
    seconds = requests["seconds"].to_numpy()
    lengths = shown.group_by("request", maintain_order=True).len()["len"].to_numpy().astype(np.int64)
    split, borders = time_split(seconds, lengths, config.split)
    everything = Entities(catalog.select("product_id", "category", "shop_id", "price", "created_at"), events.queries)
    past = histories(_behaviours(events, requests, everything, config), len(events.users) + 1)
    shopper = requests["user"].to_numpy()
    start, end = past.before(shopper, seconds)
    in_train = np.repeat(split == TRAIN, lengths)
    vocabulary = fit_vocabulary(_counts(shown, events, in_train), everything.products, config.min_count)
    number = np.concatenate([[NONE], vocabulary.numbers("user", events.users)])
    query = requests["query"].to_numpy()
    return CtrLog(
        everything, vocabulary, past, user=number[shopper], shopper=shopper, shoppers=events.users,
        query=np.where(query > 0, query + everything.first_query - 1, 0), seconds=seconds, split=split, start=start, end=end,
        first=np.concatenate([[0], np.cumsum(lengths)]), item=shown["product"].to_numpy(),
        label=shown["label"].to_numpy().astype(np.float32), position=shown["position"].to_numpy(),
        propensity=shown["propensity"].to_numpy(), row=shown["row"].to_numpy(), counts={**found.counts, **borders},
    )  # fmt: skip


def _behaviours(events: Events, requests: pl.DataFrame, everything: Entities, config: CtrConfig) -> pl.DataFrame:
    """user, entity, kind, seconds: what was chosen, and what was asked."""
    wanted = [ACTIONS.index(action) for action in config.behaviours]
    chosen = events.table.filter(pl.col("action").is_in(wanted))
    parts = [chosen.select("user", "seconds", entity="product", kind="action")]
    if config.queries:
        asked = requests.filter(pl.col("query") > 0)
        parts.append(asked.select("user", "seconds", entity=(pl.col("query") + everything.first_query - 1).cast(pl.Int32),
                                  kind=pl.lit(QUERY_KIND, pl.Int8)))  # fmt: skip
    return pl.concat(parts)


def _counts(shown: pl.DataFrame, events: Events, in_train: np.ndarray) -> dict[str, pl.DataFrame]:
    """Field → name, count: how many training impressions each user, product and query has."""
    train = shown.filter(pl.Series(in_train))
    names = {"user": events.users, "product": events.products, "query": query_names(events.queries)}
    return {field: pl.DataFrame({"name": known, "count": np.bincount(train[field].to_numpy(), minlength=len(known) + 1)[1:]})
            for field, known in names.items()}  # fmt: skip
