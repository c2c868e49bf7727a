"""Append-only arrays on disk, keyed by string: decoded pictures (one row a key), frozen tokens (several rows a key)."""

from __future__ import annotations

import contextlib
import json
import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from openmoon.errors import UserError
from openmoon.io import locked


class RaggedStore:
    """Rows of one shape and dtype in a memory-mapped file; every key owns a run of consecutive rows.

    `rows.bin` holds the raw rows. `index.jsonl` starts with the row shape and dtype; each further line commits one
    append: its keys, their row counts and where they start. Rows are written before their line, and a line counts
    only when it is complete, so an append that is killed leaves the store as it was. Processes may share a store:
    appends take turns under a file lock.
    """

    def __init__(self, folder: Path, row_shape: Sequence[int], dtype: npt.DTypeLike) -> None:
        self.folder = Path(folder)
        self.row_shape = tuple(int(side) for side in row_shape)
        self.dtype = np.dtype(dtype)
        self._row_bytes = int(np.prod(self.row_shape, dtype=np.int64)) * self.dtype.itemsize
        self._index = self.folder / "index.jsonl"
        self._read = 0  # bytes of the index that were understood
        self._total = 0  # committed rows
        self._position: dict[str, int] = {}
        self._starts = np.empty(0, np.int64)
        self._counts = np.empty(0, np.int64)
        self._rows: npt.NDArray[Any] | None = None
        with self._writing():
            self._load()
            if not self._read:
                self._index.write_text(self._line(self._header()))
                self._load()

    def __len__(self) -> int:
        """Number of keys."""
        return len(self._position)

    def __contains__(self, key: str) -> bool:
        return key in self._position

    @property
    def rows(self) -> npt.NDArray[Any]:
        """All committed rows, (total, *row_shape), read-only. Mapped, not read: slices touch only their own pages."""
        if self._rows is None:
            shape = (self._total, *self.row_shape)
            path = self.folder / "rows.bin"
            # numpy cannot map an empty file
            self._rows = np.memmap(path, self.dtype, "r", shape=shape) if self._total else np.empty(shape, self.dtype)
        return self._rows

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """A copy of some rows, (*rows.shape, *row_shape). What was mapped for it is let go: it stays in the system's cache of
        files while there is room, and a process that has read all of a large store does not hold it."""
        found = np.asarray(self.rows[rows])
        mapped = self.rows.base
        if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)
        return found

    def missing(self, keys: Sequence[str]) -> list[str]:
        """The distinct keys that the store does not hold, in their first order."""
        return [key for key in dict.fromkeys(keys) if key not in self._position]

    def locate(self, keys: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First row and number of rows of every key, both int64 (N,). Raises `KeyError` for a key that is not there."""
        position = np.fromiter((self._position[key] for key in keys), np.int64, len(keys))
        return self._starts[position], self._counts[position]

    def append(self, keys: Sequence[str], arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Add `arrays[i]`, (n_i, *row_shape), under `keys[i]`. A key that is already there keeps what it has."""
        if len(keys) != len(arrays):
            raise ValueError(f"{len(keys)} keys for {len(arrays)} arrays")
        for array in arrays:
            if array.shape[1:] != self.row_shape:
                raise ValueError(f"expected rows of shape {self.row_shape}, got {array.shape[1:]}")
        with self._writing():
            self._load()  # another process may have appended since
            new = {key: array for key, array in zip(keys, arrays, strict=True) if key not in self._position}
            if new:
                self._write(new)
                self._load()

    def _write(self, new: dict[str, npt.NDArray[Any]]) -> None:
        with open(self.folder / "rows.bin", "ab") as file:
            file.truncate(self._total * self._row_bytes)  # rows of an append that was killed
            for array in new.values():
                file.write(np.ascontiguousarray(array, self.dtype).data)
        counts = [len(array) for array in new.values()]
        with open(self._index, "ab") as file:
            file.truncate(self._read)
            file.write(self._line({"start": self._total, "keys": list(new), "counts": counts}).encode())

    def _load(self) -> None:
        """Read the index lines that were committed since the last call."""
        if not self._index.exists():
            return
        with open(self._index, "rb") as file:
            file.seek(self._read)
            lines = file.read().splitlines(keepends=True)
        starts, counts = [self._starts], [self._counts]
        for line in lines:
            if not line.endswith(b"\n"):
                break
            try:
                found = json.loads(line)
                if self._read == 0:
                    self._check_header(found)
                else:
                    first, sizes = self._admit(**found)
                    starts.append(first)
                    counts.append(sizes)
            except (ValueError, TypeError) as error:
                raise UserError(f"{self._index}: holds a line that is no entry; the cache is damaged, delete the folder "
                                f"{self.folder} and run the same command again.") from error  # fmt: skip
            self._read += len(line)
        self._starts, self._counts, self._rows = np.concatenate(starts), np.concatenate(counts), None
        rows = self.folder / "rows.bin"
        found, needed = rows.stat().st_size if rows.exists() else 0, self._total * self._row_bytes
        if found < needed:
            raise UserError(f"{rows}: has {found:,} bytes, {needed:,} are in its index; the cache is damaged, delete the folder "
                            f"{self.folder} and run the same command again.")  # fmt: skip

    def _admit(self, start: int, keys: list[str], counts: list[int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First row and number of rows of each key of a line."""
        self._position.update(zip(keys, range(len(self), len(self) + len(keys)), strict=True))
        new = np.asarray(counts, np.int64)
        self._total = start + int(new.sum())
        return start + np.cumsum(new) - new, new

    def _header(self) -> dict[str, Any]:
        return {"row_shape": list(self.row_shape), "dtype": self.dtype.str}

    def _check_header(self, found: dict[str, Any]) -> None:
        if found != self._header():
            raise UserError(
                f"{self._index}: holds rows of {found}, expected {self._header()}; delete the folder "
                "(it is only a cache) or choose another one."
            )

    @staticmethod
    def _line(value: dict[str, Any]) -> str:
        return json.dumps(value, separators=(",", ":")) + "\n"

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One writer at a time; what the disk refuses is a `UserError`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / "lock"):
                yield
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot be written ({error.strerror or error}). What it held is untouched; "
                "free some space or choose another cache folder and run the same command again."
            ) from error
