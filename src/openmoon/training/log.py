"""What a run did, step by step: `metrics.jsonl` and TensorBoard beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from openmoon.errors import UserError
from openmoon.io import write_text
from openmoon.training.event_file import EventFile


class MetricsLog:
    """Appends a line per call. A resumed run first drops the lines after its checkpoint, so every step is there once."""

    def __init__(self, folder: Path, stage: str, resume_step: int) -> None:
        self.stage = stage
        self.path = folder / "metrics.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            kept = [line for line, step in _steps(self.path) if step <= resume_step] if resume_step else []
            write_text(self.path, "".join(kept))
        self._file = open(self.path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 (closed by close)
        self._board = EventFile(folder / "tensorboard", purge=resume_step + 1)

    def write(self, step: int, **values: Any) -> None:
        """One line {"stage", "step", **values}; numbers also go to TensorBoard, dictionaries with dotted names.

        Raises `UserError` where there is no room for them.
        """
        try:
            self._file.write(json.dumps({"stage": self.stage, "step": step, **values}) + "\n")
            self._board.scalars(step, [(f"{self.stage}/{name}", value) for name, value in _flat(values)])
        except OSError as error:
            raise UserError(f"{self.path}: the log cannot be written ({error.strerror or error}); free some space and run the "
                            "same command again: it goes on from the last checkpoint.") from error  # fmt: skip

    def close(self) -> None:
        """Close both files; what a full disk has not taken has been told by `write`."""
        for file in (self._file, self._board):
            with suppress(OSError):
                file.close()


def _steps(path: Path) -> Iterator[tuple[str, int]]:
    """The lines and their steps; a power cut leaves half a line, or zeros, which are left out."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            step = int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):
            continue
        if line.endswith("\n"):  # else the next line would be written behind it
            yield line, step


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    flat: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            flat += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float):
            flat.append((prefix + name, float(value)))
    return flat
