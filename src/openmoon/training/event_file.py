"""A TensorBoard event file, written in the caller's thread: what goes wrong is said where it goes wrong.

The writers of TensorBoard and torch write in a thread of their own, where a full disk ends in a traceback that nobody can catch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class EventFile:
    """Appends scalars by step. With `purge` TensorBoard leaves out what earlier files say of that step and of later ones."""

    def __init__(self, folder: Path, purge: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.6f}.{os.getpid()}"
        self._records = RecordWriter(open(folder / name, "xb"))  # noqa: SIM115 (closed by close)
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(step=purge, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, step: int, values: Iterable[tuple[str, float]]) -> None:
        """One event with all `values`. Raises `OSError` where it cannot be written."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        found = [Summary.Value(tag=name, simple_value=value) for name, value in values]
        self._write(Event(step=step, summary=Summary(value=found)))

    def close(self) -> None:
        self._records.close()

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._records.flush()
