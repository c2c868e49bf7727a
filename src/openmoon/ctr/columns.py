"""Columns of numbers that grow chunk by chunk and may be larger than memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO

import numpy as np

from openmoon.errors import UserError


class Columns:
    """The columns lie in files of `folder` that have no name: the system keeps in memory as much of them as fits, and they are
    gone with the process, however it ends. The numbers may be records (a structured dtype)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, tuple[IO[bytes], np.dtype]] = {}

    def append(self, **columns: np.ndarray) -> None:
        """Add rows. Raises `UserError` where the disk is full, `TypeError` for another dtype than before."""
        for name, values in columns.items():
            try:
                file, dtype = self._file(name, values.dtype)
                if values.dtype != dtype:
                    raise TypeError(f"column {name} is of {dtype}, not of {values.dtype}")
                file.write(np.ascontiguousarray(values).view(np.uint8).data)
                file.flush()
            except OSError as error:
                raise UserError(f"{self.folder}: cannot write the log's columns there ({error.strerror}); make room, or name "
                                "another workdir.") from None  # fmt: skip

    def __getitem__(self, name: str) -> np.ndarray:
        """A column (n,), read-only."""
        file, dtype = self._files[name]
        count = file.tell() // dtype.itemsize
        return np.asarray(np.memmap(file, dtype, "r", shape=(count,))) if count else np.empty(0, dtype)

    def _file(self, name: str, dtype: np.dtype) -> tuple[IO[bytes], np.dtype]:
        if name not in self._files:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._files[name] = (tempfile.TemporaryFile(dir=self.folder), dtype)  # noqa: SIM115
        return self._files[name]
