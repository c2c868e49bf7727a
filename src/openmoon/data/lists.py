"""A list of product rows for each of many pairs, kept as two flat arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lists:
    """The list of row p is `values[start[p] : start[p + 1]]`; `start` has one entry more than there are rows."""

    start: np.ndarray
    values: np.ndarray

    @classmethod
    def group(cls, owner: np.ndarray, values: np.ndarray, count: int) -> Lists:
        """From (L,) owners in 0..count-1, in any order, and the value that each brings."""
        order = np.argsort(owner, kind="stable")
        return cls(np.searchsorted(owner[order], np.arange(count + 1)), values[order].astype(np.int64))

    @classmethod
    def empty(cls, count: int) -> Lists:
        """`count` lists with nothing in them."""
        return cls.group(np.empty(0, np.int64), np.empty(0, np.int64), count)

    @classmethod
    def joined(cls, first: Lists, second: Lists) -> Lists:
        """For each row the values of both."""
        rows = np.arange(len(first))
        (a, of_a), (b, of_b) = first.of(rows), second.of(rows)
        return cls.group(np.concatenate([of_a, of_b]), np.concatenate([a, b]), len(first))

    @classmethod
    def chosen(cls, which: np.ndarray, first: Lists, second: Lists) -> Lists:
        """The row of `first` where `which` (P,) is true, else that of `second`."""
        rows = np.arange(len(which))
        (a, of_a), (b, of_b) = first.of(rows[which]), second.of(rows[~which])
        return cls.group(np.concatenate([rows[which][of_a], rows[~which][of_b]]), np.concatenate([a, b]), len(which))

    def without(self, others: Lists, group: np.ndarray) -> Lists:
        """For each row its values but those whose `group` (N,), numbers from 0, is that of a value the row has in `others`."""
        rows, width = np.arange(len(self)), int(group.max(initial=0)) + 1
        (own, owner), (other, of_other) = self.of(rows), others.of(rows)
        kept = ~np.isin(owner * width + group[own], of_other * width + group[other])
        return Lists.group(owner[kept], own[kept], len(self))

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def filled(self) -> np.ndarray:
        """(P,) bool: rows whose list is not empty."""
        return np.diff(self.start) > 0

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The values of the lists of `rows` (B,), one after the other, and for each the place in `rows` that it is from."""
        size = self._sizes(rows)
        owner = np.repeat(np.arange(len(rows)), size)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(size) - size, size)
        return self.values[self.start[rows][owner] + within], owner

    def draw(self, rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """(B, count) values drawn with replacement from the lists of `rows` (B,); -1 where a list is empty."""
        size = self._sizes(rows)[:, None]
        place = self.start[rows][:, None] + (rng.random((len(rows), count)) * size).astype(np.int64)
        if not len(self.values):
            return np.full(place.shape, -1)
        return np.where(size > 0, self.values[np.minimum(place, len(self.values) - 1)], -1)

    def _sizes(self, rows: np.ndarray) -> np.ndarray:
        return self.start[rows + 1] - self.start[rows]
