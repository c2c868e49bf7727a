"""Every picture decoded once: resized uint8 pixels in a memory-mapped file, keyed by the content of the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from openmoon.data.images import ImageRejected, load_image, regular_file, why_unread
from openmoon.data.store import RaggedStore
from openmoon.io import atomic_path, content_hash, file_hash
from openmoon.runtime import cores

MEMO = {"path": pl.String, "modified": pl.Int64, "size": pl.Int64, "key": pl.String, "reason": pl.String}  # of files read before
BATCH = 256  # pictures decoded before they are written; two batches are in memory at once
VERSION = 2  # raise it when `load_image` comes to give other pixels


class _Stamp(NamedTuple):
    """Tells whether a file is the one that was read before."""

    modified: int  # nanoseconds
    size: int  # bytes


class _Decoded(NamedTuple):
    """What a worker made of one file: pixels are absent when the store has them or when there is a reason."""

    key: str | None = None
    pixels: npt.NDArray[np.uint8] | None = None
    reason: str | None = None


class ImageCache:
    """Square size×size RGB pictures under `folder`, shared by all steps of a run and by later runs.

    Files with equal bytes share one entry. A memo of path, modification time and size → content hash spares unchanged
    files from being read again; files that were rejected are remembered with their reason too.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.size = size
        self.folder = Path(folder) / f"pixels-{size}-v{VERSION}"
        self._store = RaggedStore(self.folder, (size, size, 3), np.uint8)
        self._memo_path = self.folder / "files.parquet"
        self._keys: dict[str, tuple[_Stamp, str]] = {}
        self._reasons: dict[str, str] = {}  # content hash → why there are no pixels
        if self._memo_path.exists():
            self._load_memo()

    def fill(
        self, paths: Sequence[Path], workers: int | None = None, progress: Callable[[int], object] | None = None
    ) -> dict[Path, str]:
        """Decode what is missing with `workers` threads (default: all cores; Pillow decodes outside the GIL).

        Calls `progress(n)` as pictures are done. Memory is bounded by two batches. Returns the reason for each path
        that has no usable picture.
        """
        workers = workers or cores()
        rejected: dict[Path, str] = {}
        waiting: list[tuple[Path, Future[_Decoded]]] = []
        with ThreadPoolExecutor(workers) as pool:
            for start in range(0, len(paths), BATCH):
                batch = [(path, pool.submit(self._decode, path)) for path in paths[start : start + BATCH]]
                rejected |= self._commit(waiting, progress)  # the workers decode the next batch meanwhile
                waiting = batch
            rejected |= self._commit(waiting, progress)
        if paths:
            self._save_memo()
        return rejected

    def key(self, path: Path) -> str:
        """Content hash of the file at `path`, from the memo where the file is unchanged.

        Raises `OSError` for a file that cannot be read, `ValueError` for a name that no file can have.
        """
        if (known := self._known_key(path)) is not None:
            return known
        regular_file(path)
        return file_hash(path)

    def keys(self, paths: Sequence[Path]) -> list[str]:
        """`key` of every path."""
        return [self.key(path) for path in paths]

    def readable(self, paths: Sequence[Path]) -> list[str | None]:
        """The key of every path whose pixels are in the cache, None for the others."""
        keys = [self._known_key(path) if os.path.isfile(path) else None for path in paths]
        return [key if key is not None and key in self._store else None for key in keys]

    def pixels(self, keys: Sequence[str]) -> npt.NDArray[np.uint8]:
        """Copies of the pictures, (N, size, size, 3) uint8. Raises `KeyError` for a key without pixels."""
        starts, _ = self._store.locate(keys)
        return self._store.take(starts)

    def _decode(self, path: Path) -> _Decoded:
        try:
            data, key = b"", self._known_key(path)
            if key is None:
                stamp, data = _stamp(path), Path(path).read_bytes()
                key = content_hash(data)
                self._keys[os.path.abspath(path)] = (stamp, key)
            if key in self._reasons:
                return _Decoded(key, reason=self._reasons[key])
            if key in self._store:
                return _Decoded(key)
            data = data or Path(path).read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a name with a NUL byte
            return _Decoded(reason=why_unread(path, error))
        try:
            return _Decoded(key, load_image(data, self.size))
        except ImageRejected as error:
            return _Decoded(key, reason=str(error))

    def _commit(
        self, batch: list[tuple[Path, Future[_Decoded]]], progress: Callable[[int], object] | None
    ) -> dict[Path, str]:
        done = {path: future.result() for path, future in batch}
        new = [(found.key, found.pixels) for found in done.values() if found.key and found.pixels is not None]
        self._store.append([key for key, _ in new], [pixels[None] for _, pixels in new])
        rejected = {path: found.reason for path, found in done.items() if found.reason}
        self._reasons.update((found.key, found.reason) for found in done.values() if found.key and found.reason)
        if progress and batch:
            progress(len(batch))
        return rejected

    def _known_key(self, path: Path) -> str | None:
        stamp, key = self._keys.get(os.path.abspath(path), (None, None))
        return key if stamp is not None and stamp == _stamp(path) else None

    def _load_memo(self) -> None:
        try:
            known = pl.read_parquet(self._memo_path, columns=list(MEMO), glob=False)
        except (pl.exceptions.PolarsError, OSError):  # no more than a memory of which files were read: read them again
            return
        for path, modified, size, key, reason in known.iter_rows():
            self._keys[path] = (_Stamp(modified, size), key)
            if reason is not None:
                self._reasons[key] = reason

    def _save_memo(self) -> None:
        rows = [(path, *stamp, key, self._reasons.get(key)) for path, (stamp, key) in self._keys.items()]
        with atomic_path(self._memo_path) as temporary:
            pl.DataFrame(rows, MEMO, orient="row").write_parquet(temporary)


def _stamp(path: Path) -> _Stamp:
    status = regular_file(path)
    return _Stamp(status.st_mtime_ns, status.st_size)
