"""The log as columns: requests, their candidates, and the behaviours before them. Everything that predicts reads this."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from openmoon.ctr.entities import Entities
from openmoon.ctr.histories import Histories
from openmoon.ctr.time_split import SPLIT_NAMES
from openmoon.ctr.vocabulary import Vocabulary

BLOCK = 1 << 18  # requests whose candidates are looked at together


@dataclass(frozen=True)
class CtrLog:
    """Requests and, request after request, their candidates: in order of time or, where some shoppers were read after others, in
    order of time within each such part.

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
        return _candidates(self.first, requests)

    def blocks(self, name: str) -> Iterator[np.ndarray]:
        """The same of the requests in a split, some at a time: all at once may not fit in memory."""
        return _blocks(self.first, self.requests(name))

    def request_of(self, candidates: np.ndarray) -> np.ndarray:
        """Request of each of some candidates."""
        return np.searchsorted(self.first, candidates, side="right") - 1

    def shown(self, name: str) -> np.ndarray:
        """(rows of entities,) int64 impressions of each in a split."""
        return count_items(self.item, self.first, self.requests(name), len(self.entities))

    @property
    def catalogue(self) -> np.ndarray:
        """Rows of the products that can be candidates."""
        return np.arange(1, self.entities.first_query) if self.offered is None else self.offered

    @property
    def behaviours(self) -> np.ndarray:
        """(R,) how many behaviours came before each request."""
        return self.end - self.start if self.met is None else self.met


def count_items(item: np.ndarray, first: np.ndarray, requests: np.ndarray, size: int) -> np.ndarray:
    """(size,) int64: how often each number stands among `item` of the candidates of some requests; see `CtrLog.first`."""
    total = np.zeros(size, np.int64)
    for rows in _blocks(first, requests):
        total += np.bincount(item[rows], minlength=size)
    return total


def _candidates(first: np.ndarray, requests: np.ndarray) -> np.ndarray:
    counts = first[requests + 1] - first[requests]
    begin = first[requests] - np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.repeat(begin, counts) + np.arange(counts.sum())


def _blocks(first: np.ndarray, requests: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(requests), BLOCK):
        yield _candidates(first, requests[start : start + BLOCK])
