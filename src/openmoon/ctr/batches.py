"""Batches of whole requests: what the candidates of a request share, its behaviours above all, is gathered once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch

from openmoon.ctr.log import CtrLog

CANDIDATES = 16  # of a request in one row of a batch; a longer list takes several rows
WINDOW = 8  # batches among which rows are sorted by the length of their history, so that little is padded
AGES = 16  # buckets of a behaviour's age, each twice as long as the one before, from an hour on
_HOUR, _DAY = 3600, 86_400


@dataclass(frozen=True)
class Batch:
    """R rows, each a request (or a part of one) with K candidates and L behaviours, the latest first.

    (R,): user, query, hour, weekday, asks (0 nothing, 1 words, 2 a photo, 3 both). (R, L): history (rows of entities, 0 =
    none), kind, age (bucket). (R, K): item (0 = none), label, position, weight. `candidate` are the numbers of the items in
    the log, in order of the rows. Weights are 0 where there is no item, otherwise 1 or what debiasing gives.
    """

    user: torch.Tensor
    query: torch.Tensor
    hour: torch.Tensor
    weekday: torch.Tensor
    asks: torch.Tensor
    history: torch.Tensor
    kind: torch.Tensor
    age: torch.Tensor
    item: torch.Tensor
    label: torch.Tensor
    position: torch.Tensor
    weight: torch.Tensor
    candidate: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(**{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})


class Batches:
    """Cuts some requests of a log into batches of about `size` impressions. `weights`, per candidate of the log, default to 1."""

    def __init__(
        self, log: CtrLog, requests: np.ndarray, size: int, length: int, weights: np.ndarray | None = None
    ) -> None:
        self.log, self.size, self.length, self.weights = log, size, length, weights
        counts = log.first[requests + 1] - log.first[requests]
        pieces = -(-counts // CANDIDATES)
        self._request = np.repeat(requests, pieces)
        part = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        self._begin = log.first[self._request] + part * CANDIDATES
        self._count = np.minimum(log.first[self._request + 1] - self._begin, CANDIDATES)
        self._history = np.minimum(log.end - log.start, length)[self._request]

    @property
    def impressions(self) -> int:
        """How many impressions the batches hold together."""
        return int(self._count.sum())

    @property
    def candidates(self) -> np.ndarray:
        """Numbers of the candidates in the log, in order."""
        return np.sort(np.repeat(self._begin, self._count) + np.arange(self.impressions)
                       - np.repeat(np.cumsum(self._count) - self._count, self._count))  # fmt: skip

    def __len__(self) -> int:
        """Number of batches."""
        return -(-len(self._request) // self._rows)

    @property
    def _rows(self) -> int:
        """Rows of a batch, so that it has `size` impressions on average."""
        return max(1, round(self.size * len(self._request) / max(1, self.impressions)))

    def shuffled(self, seed: tuple[int, ...], start: int = 0) -> Iterator[Batch]:
        """All batches in an order that follows from `seed`, from batch `start` on."""
        random = np.random.default_rng(seed)
        order, window = random.permutation(len(self._request)), WINDOW * self._rows
        parts = [order[at : at + window] for at in range(0, len(order), window)]
        cuts = self._cuts(np.concatenate([part[np.argsort(self._history[part], kind="stable")] for part in parts]))
        for number in random.permutation(len(cuts))[start:]:
            yield self.batch(cuts[number])

    def in_order(self) -> Iterator[Batch]:
        """All batches, rows with histories of like length together."""
        for cut in self._cuts(np.argsort(self._history, kind="stable")):
            yield self.batch(cut)

    def _cuts(self, order: np.ndarray) -> list[np.ndarray]:
        return [order[at : at + self._rows] for at in range(0, len(order), self._rows)]

    def batch(self, pieces: np.ndarray) -> Batch:
        """Some rows as a batch: requests, or parts of requests with many candidates, numbered in order."""
        log, request = self.log, self._request[pieces]
        slot = np.arange(self._count[pieces].max())
        shown = slot < self._count[pieces][:, None]
        at = np.where(shown, self._begin[pieces][:, None] + slot, self._begin[pieces][:, None])
        back = 1 + np.arange(self._history[pieces].max())
        there = back <= self._history[pieces][:, None]
        past = np.where(there, log.end[request][:, None] - back, 0)
        seconds = log.seconds[request]
        history, kind = (np.where(there, column[past], 0) for column in (log.histories.entity, log.histories.kind)) \
            if len(log.histories.entity) else (np.zeros(past.shape, np.int32),) * 2  # fmt: skip
        age = np.where(there, ages(seconds[:, None] - log.histories.seconds[past]), 0) if history.size else history
        weight = shown.astype(np.float32) if self.weights is None else np.where(shown, self.weights[at], 0)
        columns = {
            "user": log.user[request], "query": log.query[request], "hour": seconds // _HOUR % 24,
            "weekday": (seconds // _DAY + 3) % 7, "asks": log.entities.asks[log.query[request]],
            "history": history, "kind": kind, "age": age,
            "item": np.where(shown, log.item[at], 0), "position": np.where(shown, log.position[at], 0), "candidate": at[shown],
        }  # fmt: skip
        whole = {name: torch.from_numpy(np.ascontiguousarray(values, np.int64)) for name, values in columns.items()}
        label = np.where(shown, log.label[at], 0).astype(np.float32)
        return Batch(**whole, label=torch.from_numpy(label), weight=torch.from_numpy(weight.astype(np.float32)))


def ages(seconds: np.ndarray) -> np.ndarray:
    """Buckets of ages: 1 within an hour, then doubling, at most AGES - 1."""
    return np.clip(2 + np.floor(np.log2(np.maximum(seconds / _HOUR, 0.5))).astype(np.int64), 1, AGES - 1)
