"""Work that is done once: an append-only file of key → result, so that a killed run goes on and nothing is paid twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openmoon.errors import UserError


class Journal:
    """Results by key in JSON lines at `path`; threads may share it.

    A line counts when it is whole: what a killed write left of the last one is cut off and done again.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._claims: dict[str, threading.Lock] = {}
        self._found: dict[str, Any] = {}
        if self.path.exists():
            self._load()

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def __getitem__(self, key: str) -> Any:
        return self._found[key]

    def add(self, key: str, value: Any) -> None:
        """Keep `value` (JSON) under `key`, on disk before this returns."""
        line = json.dumps({"key": key, "value": value}, ensure_ascii=False) + "\n"
        with self._lock:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with open(self.path, "a", encoding="utf-8") as file:
                    file.write(line)
            except OSError as error:
                raise UserError(f"{self.path}: cannot be written ({error.strerror or error}); free some space or choose another "
                                "workdir and run the same command again, which goes on from here.") from error  # fmt: skip
            self._found[key] = value

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What is kept under `key`; made and kept now if nothing is, by one thread even where several ask for it at once."""
        with self._lock:
            claim = self._claims.setdefault(key, threading.Lock())
        with claim:
            if key not in self:
                self.add(key, make())
            return self[key]

    def _load(self) -> None:
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            with open(self.path, "r+b") as file:
                file.truncate(len(whole))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
                self._found[entry["key"]] = entry["value"]
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{self.path}: line {number} is no entry of this file; remove the line and go on.") from error
