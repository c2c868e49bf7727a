"""The samples of TAOBAO-MM as columns, from either of its layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmoon.ctr.taobao_mm.files import LIST, NUMBER, Rows, find, stream
from openmoon.ctr.taobao_mm.gather import Gathered, Spans
from openmoon.errors import UserError

LABEL, USER, ITEM, CATEGORY, PAST, PAST_CATEGORIES = "label_0", "129_1", "205", "206", "150_2_180", "151_2_180"
SAMPLE = {LABEL: LIST, USER: NUMBER, ITEM: NUMBER}
JOINED = {**SAMPLE, CATEGORY: NUMBER, PAST: LIST, PAST_CATEGORIES: LIST}
USERS = {USER: NUMBER, PAST: LIST, PAST_CATEGORIES: LIST}
ITEMS = {ITEM: NUMBER, CATEGORY: NUMBER}
SHARDS, SPLIT = "{}-shard-*.parquet", ("{}_samples.parquet", "{}_user_features.parquet", "item_features.parquet")
CLICKED = 1  # place of the one in the label: utils/utils.py of alimama-tech/MUSE measures AUC with `label[:, 1]` as what is true
UNUSABLE = {LABEL: "samples without a label, left out", USER: "samples without a user, left out",
            ITEM: "samples without an item, left out"}  # fmt: skip
NO_FEATURES = "samples whose user has no features, with an empty history"
AGAIN = "user features of a user that has some already, left out"

OnRows = Callable[[int], None]


@dataclass(frozen=True)
class Samples:
    """Columns (n,) of one part: user (id), item (number), clicked, row (of the part's files) and history."""

    user: np.ndarray
    item: np.ndarray
    clicked: np.ndarray
    row: np.ndarray
    past: Spans
    rows: int  # of the files, unusable ones included

    def __len__(self) -> int:
        return len(self.user)


def read_samples(folder: Path, parts: tuple[str, ...], gathered: Gathered, on_rows: OnRows) -> list[Samples]:
    """The samples of parts (train, test): joined shards where the folder has them, otherwise the split layout.

    `on_rows` hears how many rows were read in all. Raises `UserError` for files that are missing, and as `stream`.
    """
    counted = _Counted(on_rows)
    if find(folder, SHARDS.format(parts[0]), parts[0]):
        shards = [_present(folder, SHARDS.format(part), part) for part in parts]
        return [_joined(paths, gathered, counted) for paths in shards]
    names = [[name.format(part) for name in SPLIT] for part in parts]
    if not any(find(folder, name, "raw") for of_part in names for name in of_part):
        raise UserError(f"{folder}: no {SHARDS.format(parts[0])} here or in {parts[0]}/, and no {names[0][0]} here or in raw/; "
                        "data.root names the folder that TAOBAO-MM was downloaded to.")  # fmt: skip
    tables = [[_present(folder, name, "raw")[0] for name in of_part] for of_part in names]
    return [_split(paths, gathered, counted) for paths in tables]


class _Counted:
    """`stream`, counting the rows that it yields."""

    def __init__(self, on_rows: OnRows) -> None:
        self._rows, self._on_rows = 0, on_rows

    def __call__(self, path: Path, columns: dict[str, str]) -> Iterator[Rows]:
        for rows in stream(path, columns):
            yield rows
            self._rows += len(rows)
            self._on_rows(self._rows)


def _present(folder: Path, pattern: str, below: str) -> list[Path]:
    if not (paths := find(folder, pattern, below)):
        raise UserError(f"{folder / pattern}: no such file, nor in {folder / below}; the layout needs it. Download the data set "
                        "again.")  # fmt: skip
    return paths


def _joined(paths: list[Path], gathered: Gathered, counted: _Counted) -> Samples:
    """Shards whose rows hold everything."""
    found = _Columns(gathered)
    for path in paths:
        for rows in counted(path, JOINED):
            usable = found.add(rows)
            gathered.note(found.items[-1], usable.numbers(CATEGORY))
            found.past.append(gathered.histories(usable.lists(PAST), usable.lists(PAST_CATEGORIES)))
    return found.samples(_concatenated(found.past))


def _split(paths: list[Path], gathered: Gathered, counted: _Counted) -> Samples:
    """Samples, and in files of their own the features of their users and items."""
    samples, users, items = paths
    found = _Columns(gathered)
    for rows in counted(samples, SAMPLE):
        found.add(rows)
    names, owner = np.unique(np.concatenate([np.zeros(0, np.int64), *found.users]), return_inverse=True)
    past = Spans(*(np.zeros(len(names), np.int64) for _ in range(3)))
    had = np.zeros(len(names), bool)
    for rows in counted(users, USERS):
        ids = rows.numbers(USER)
        known = np.isin(ids, names)
        first = np.zeros(len(ids), bool)
        first[np.unique(ids, return_index=True)[1]] = True
        place = np.where(known, np.searchsorted(names, ids), 0)
        fresh = known & first & ~had[place] if len(names) else known
        gathered.left_out[AGAIN] += int((known & ~fresh).sum())
        usable, place = rows.where(fresh), place[fresh]
        spans = gathered.histories(usable.lists(PAST), usable.lists(PAST_CATEGORIES))
        past.start[place], past.end[place], past.met[place] = spans.start, spans.end, spans.met
        had[place] = True
    for rows in counted(items, ITEMS):
        gathered.note(gathered.items.find(rows.numbers(ITEM)), rows.numbers(CATEGORY))
    gathered.left_out[NO_FEATURES] += int((~had[owner]).sum())
    return found.samples(past.of(owner))


class _Columns:
    """Gathers the columns of samples."""

    def __init__(self, gathered: Gathered) -> None:
        self._gathered = gathered
        self.users: list[np.ndarray] = []
        self.items: list[np.ndarray] = []
        self.past: list[Spans] = []
        self._clicked: list[np.ndarray] = []
        self._row: list[np.ndarray] = []
        self._rows = 0

    def add(self, rows: Rows) -> Rows:
        """Take label, user and item of the rows that have all three; those rows."""
        usable = np.ones(len(rows), bool)
        for name, reason in UNUSABLE.items():
            there = rows.known(name) if name == LABEL else rows.numbers(name) != 0
            self._gathered.left_out[reason] += int((usable & ~there).sum())
            usable &= there
        self._row.append(self._rows + np.flatnonzero(usable))
        self._rows += len(rows)
        clicked = _clicked(rows)
        kept = rows.where(usable)
        self._clicked.append(clicked[usable])
        self.users.append(kept.numbers(USER))
        self.items.append(self._gathered.items.add(kept.numbers(ITEM)))
        return kept

    def samples(self, past: Spans) -> Samples:
        """What was gathered, with a history for each."""
        user, item, clicked, row = (
            np.concatenate([np.zeros(0, dtype), *parts])
            for dtype, parts in ((np.int64, self.users), (np.int32, self.items), (np.float32, self._clicked),
                                 (np.int64, self._row))
        )  # fmt: skip
        return Samples(user, item, clicked, row, past, self._rows)


def _clicked(rows: Rows) -> np.ndarray:
    """(n,) float32 labels; 0 where there is none. Raises `UserError` for a label that is not one-hot."""
    label = rows.lists(LABEL)
    there = np.flatnonzero(rows.known(LABEL))
    expected = "[1, 0] (not clicked) or [0, 1] (clicked)"
    for row in there[label.lengths[there] != 2]:
        raise rows.wrong(LABEL, int(row), expected)
    pairs = label.flat.reshape(-1, 2)
    for row in there[(pairs.min(1) != 0) | (pairs.max(1) != 1) | (pairs.sum(1) != 1)] if len(pairs) else ():
        raise rows.wrong(LABEL, int(row), expected)
    clicked = np.zeros(len(rows), np.float32)
    clicked[there] = pairs[:, CLICKED]
    return clicked


def _concatenated(spans: list[Spans]) -> Spans:
    empty = np.zeros(0, np.int64)
    return Spans(*(np.concatenate([empty, *(getattr(one, name) for one in spans)]) for name in ("start", "end", "met")))
