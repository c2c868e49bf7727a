"""A list of product rows for each of many pairs, kept as flat arrays; pairs of one query share theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lists:
    """List k is `values[start[k] : start[k + 1]]`; `start` has one entry more than there are lists. Row p has list `which[p]`, or
    where `which` is None list p: a query that many pairs ask has one list, whose length times the pairs would be too much."""

    start: np.ndarray
    values: np.ndarray
    which: np.ndarray | None = None

    @classmethod
    def group(cls, owner: np.ndarray, values: np.ndarray, count: int, which: np.ndarray | None = None) -> Lists:
        """From (L,) owners in 0..count-1, in any order, and the value that each brings, `count` lists."""
        order = np.argsort(owner, kind="stable")
        return cls(np.searchsorted(owner[order], np.arange(count + 1)), values[order].astype(np.int64), which)

    @classmethod
    def empty(cls, count: int) -> Lists:
        """`count` lists with nothing in them."""
        return cls.group(np.empty(0, np.int64), np.empty(0, np.int64), count)

    @classmethod
    def chosen(cls, which: np.ndarray, first: Lists, second: Lists) -> Lists:
        """The list of `first` where `which` (P,) is true, else that of `second`."""
        rows = np.arange(len(which))
        start = np.concatenate([first.start[:-1], second.start + len(first.values)])
        place = np.where(which, first.place(rows), second.place(rows) + len(first.start) - 1)
        return cls(start, np.concatenate([first.values, second.values]), place)

    def without(self, others: Lists, group: np.ndarray) -> Lists:
        """For each row its values but those whose `group` (N,), numbers from 0, is that of a value the row has in `others`."""
        width, sizes = int(group.max(initial=0)) + 1, np.diff(others.start)
        held = np.repeat(np.arange(len(sizes)), sizes) * width + group[others.values]
        rows = np.arange(len(self))
        return self.kept_where(others.place(rows), lambda values, place: ~np.isin(place * width + group[values], held))

    def kept_where(self, by: np.ndarray, keeps: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Lists:
        """Of the list of each row the values that `keeps(values, by)` says, both (L,), where `by` (P,), numbers from 0, is of the
        row; rows of one list and one `by` share what is left."""
        width = int(by.max(initial=0)) + 1
        distinct, which = np.unique(self.place(np.arange(len(self))) * width + by, return_inverse=True)
        values, owner = self.each.of(distinct // width)
        kept = keeps(values, (distinct % width)[owner])
        return Lists.group(owner[kept], values[kept], len(distinct), which)

    @property
    def each(self) -> Lists:
        """The lists themselves, each the row of its number."""
        return Lists(self.start, self.values)

    def content(self) -> list[bytes]:
        """What tells these lists from others."""
        return [part.tobytes() for part in (self.start, self.values, self.which) if part is not None]

    def __len__(self) -> int:
        return len(self.start) - 1 if self.which is None else len(self.which)

    @property
    def filled(self) -> np.ndarray:
        """(P,) bool: rows whose list is not empty."""
        return self.sizes(np.arange(len(self))) > 0

    def place(self, rows: np.ndarray) -> np.ndarray:
        """(B,) the numbers of the lists of `rows`."""
        return rows if self.which is None else self.which[rows]

    def sizes(self, rows: np.ndarray) -> np.ndarray:
        """(B,) how long the lists of `rows` are."""
        place = self.place(rows)
        return self.start[place + 1] - self.start[place]

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The values of the lists of `rows` (B,), one after the other, and for each the place in `rows` that it is from."""
        size, first = self.sizes(rows), self.start[self.place(rows)]
        owner = np.repeat(np.arange(len(rows)), size)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(size) - size, size)
        return self.values[first[owner] + within], owner

    def hold(self, rows: np.ndarray, values: np.ndarray, group: np.ndarray) -> np.ndarray:
        """(B, n) bool: which of `values` (B, n), -1 for none, are of the `group` (N,), numbers from 0, of one in the list of
        their row of `rows` (B,)."""
        lists, which = np.unique(self.place(rows), return_inverse=True)
        found, owner = self.each.of(lists)
        width = int(group.max(initial=0)) + 1
        return np.isin(which[:, None] * width + group[values], owner * width + group[found])

    def draw(self, rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """(B, count) values drawn from the lists of `rows` (B,) as `draw_places` says; -1 where a list is empty."""
        size = self.sizes(rows)
        return self.at(rows, draw_places(size, count, rng), size[:, None] > 0)

    def at(self, rows: np.ndarray, within: np.ndarray, there: np.ndarray) -> np.ndarray:
        """(B, n) the values at places `within` (B, n) the lists of `rows` (B,), -1 where nothing is `there` (B, 1)."""
        if not len(self.values):
            return np.full(within.shape, -1)
        place = self.start[self.place(rows)][:, None] + within
        return np.where(there, self.values[np.minimum(place, len(self.values) - 1)], -1)


def draw_places(size: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(B, count) places in lists of `size` (B,) entries, 0 in empty ones: each entry is as likely as another, none comes again
    before all others have come, and those of one list lie evenly apart."""
    size = size[:, None]
    first = (rng.random((len(size), 1)) * size).astype(np.int64)
    return (first + np.arange(count) * size // count) % np.maximum(size, 1)


@dataclass(frozen=True)
class Others:
    """What else is in the list of each of P rows: `lists` hold the row's own value too, at place `own` (P,), -1 where they do
    not."""

    lists: Lists
    own: np.ndarray

    @property
    def filled(self) -> np.ndarray:
        """(P,) bool: rows with others."""
        return self._count(np.arange(len(self.own))) > 0

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(B,) one of the others of each of `rows` (B,), -1 where there is none."""
        count, own = self._count(rows), self.own[rows]
        within = (rng.random(len(rows)) * count).astype(np.int64)
        within += (own >= 0) & (within >= own)
        return self.lists.at(rows, within[:, None], count[:, None] > 0)[:, 0]

    def _count(self, rows: np.ndarray) -> np.ndarray:
        return self.lists.sizes(rows) - (self.own[rows] >= 0)
