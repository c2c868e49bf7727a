"""What is kept while the files stream by: numbers of items, their categories, and the latest of each history."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from openmoon.ctr.taobao_mm.files import Lists
from openmoon.ctr.taobao_mm.numbering import Numbering

MIXED, UNEQUAL = "products met under several categories, the first counts", "histories whose categories do not match, left out"


@dataclass(frozen=True)
class Spans:
    """Of some histories: where what is kept of each begins and ends (n,), and how long each was (n,)."""

    start: np.ndarray
    end: np.ndarray
    met: np.ndarray

    def of(self, rows: np.ndarray) -> Spans:
        """Those in the given rows."""
        return Spans(self.start[rows], self.end[rows], self.met[rows])


class Gathered:
    """Items and histories met so far. Of each history the latest `length` behaviours are kept, so that what nobody looks at
    takes no place. `left_out` counts what could not be used."""

    def __init__(self, length: int) -> None:
        self.items, self.categories = Numbering(), Numbering()
        self.left_out: Counter[str] = Counter()
        self._length = length
        self._entities: list[np.ndarray] = []
        self._stored = 0
        self._category = np.zeros(1, np.int32)  # of the items by number
        self._mixed = np.zeros(1, bool)

    def candidates(self, ids: np.ndarray, categories: np.ndarray) -> np.ndarray:
        """(n,) int32 numbers of items that were shown. Of the same length: the category of each, 0 = not known."""
        rows = self.items.add(ids)
        self.note(rows, categories)
        return rows

    def histories(self, items: Lists, categories: Lists) -> Spans:
        """Store the histories of some rows, oldest first; 0 is padding. One that repeats that of the row before is stored once:
        samples of a user lie together."""
        kept = ~_repeats(items)
        lengths = items.lengths[kept]
        entries = np.repeat(kept, items.lengths)
        ids, kinds = items.flat[entries], self._aligned(items, categories)[entries]
        owner = np.repeat(np.arange(len(lengths)), lengths)[ids != 0]
        ids, kinds = ids[ids != 0], kinds[ids != 0]
        met = np.bincount(owner, minlength=len(lengths))
        latest = np.cumsum(met)[owner] - np.arange(len(ids)) <= self._length
        rows = self.items.add(ids[latest])
        self.note(rows, kinds[latest])
        count = np.minimum(met, self._length)
        end = self._stored + np.cumsum(count)
        self._entities.append(rows)
        self._stored += len(rows)
        return Spans(end - count, end, met).of(np.cumsum(kept) - 1)

    def note(self, rows: np.ndarray, categories: np.ndarray) -> None:
        """Remember the categories of items by number; the first one that is known stays."""
        if len(self._category) <= len(self.items):
            more = 2 * len(self.items) + 1 - len(self._category)
            self._category, self._mixed = np.pad(self._category, (0, more)), np.pad(self._mixed, (0, more))
        numbers = self.categories.add(categories)
        known = (rows > 0) & (numbers > 0)
        rows, numbers = rows[known], numbers[known]
        fresh = self._category[rows] == 0
        self._category[rows[fresh][::-1]] = numbers[fresh][::-1]  # of equal rows the last one written stays
        self._mixed[rows[self._category[rows] != numbers]] = True

    @property
    def entities(self) -> np.ndarray:
        """(n,) int32: the behaviours of all histories, history after history."""
        return np.concatenate([np.zeros(0, np.int32), *self._entities])

    @property
    def category(self) -> np.ndarray:
        """(items + 1,) numbers of the items' categories, 0 = not known."""
        return self._category[: len(self.items) + 1]

    @property
    def counts(self) -> dict[str, int]:
        """What could not be used, and how much of it."""
        return {**self.left_out, MIXED: int(self._mixed.sum())}

    def _aligned(self, items: Lists, categories: Lists) -> np.ndarray:
        """A category for every entry of `items`; 0 in rows that have another number of categories than of items."""
        if np.array_equal(items.lengths, categories.lengths):
            return categories.flat
        equal = items.lengths == categories.lengths
        self.left_out[UNEQUAL] += int((~equal).sum())
        found = np.zeros(len(items.flat), np.int64)
        found[np.repeat(equal, items.lengths)] = categories.flat[np.repeat(equal, categories.lengths)]
        return found


def _repeats(lists: Lists) -> np.ndarray:
    """(n,) bool: the row has the list of the row before it."""
    same = np.zeros(len(lists.lengths), bool)
    same[1:] = lists.lengths[1:] == lists.lengths[:-1]
    end = np.cumsum(lists.lengths)
    own = np.repeat(same, lists.lengths)  # entries of rows that may repeat: as long as the row before, so as far back
    at = np.flatnonzero(own)
    back = at - np.repeat(lists.lengths, lists.lengths)[at]
    differs = np.concatenate([[0], np.cumsum(_spread(own, lists.flat[at] != lists.flat[back]))])
    return same & (differs[end] == differs[end - lists.lengths])


def _spread(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    spread = np.zeros(len(mask), bool)
    spread[mask] = values
    return spread
