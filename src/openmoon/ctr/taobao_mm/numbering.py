"""Numbers for ids that are met one array after another, without a table of Python objects."""

from __future__ import annotations

import numpy as np


class Numbering:
    """Numbers 1, 2, … for int64 ids, given when an id is first met. 0 is the number of the id 0, which stands for nothing.

    Known ids are kept as sorted runs, each more than twice as long as the next: looking ids up is a search in a few arrays, and
    what is merged when ids are added stays small.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []  # sorted ids, their numbers
        self._count = 0

    def __len__(self) -> int:
        """How many ids have a number."""
        return self._count

    @property
    def ids(self) -> np.ndarray:
        """(n,) int64: the ids in order of their numbers, that with number 1 first."""
        ids = np.zeros(self._count, np.int64)
        for known, numbers in self._runs:
            ids[numbers - 1] = known
        return ids

    def find(self, ids: np.ndarray) -> np.ndarray:
        """(n,) int32 numbers of ids; 0 for those never met."""
        distinct, place = np.unique(ids, return_inverse=True)
        return self._find(distinct)[place]

    def add(self, ids: np.ndarray) -> np.ndarray:
        """(n,) int32 numbers of ids; those never met get the next ones, in the order of the ids."""
        distinct, place = np.unique(ids, return_inverse=True)
        numbers = self._find(distinct)
        new = (numbers == 0) & (distinct != 0)
        numbers[new] = self._count + 1 + np.arange(new.sum(), dtype=np.int32)
        self._count += int(new.sum())
        if new.any():
            self._runs.append((distinct[new], numbers[new]))
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0]):
            self._runs.append(_merged(self._runs.pop(), self._runs.pop()))
        return numbers[place]

    def _find(self, distinct: np.ndarray) -> np.ndarray:
        numbers = np.zeros(len(distinct), np.int32)
        for known, of_known in self._runs:
            at = np.minimum(np.searchsorted(known, distinct), len(known) - 1)
            hit = known[at] == distinct
            numbers[hit] = of_known[at[hit]]
        return numbers


def _merged(*runs: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    ids, numbers = (np.concatenate(parts) for parts in zip(*runs, strict=True))
    order = np.argsort(ids, kind="stable")  # linear: two sorted runs
    return ids[order], numbers[order]
