"""What a run did, step by step: `metrics.jsonl` and TensorBoard beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openmoon.io import write_text


class MetricsLog:
    """Appends a line per call. A resumed run first drops the lines after its checkpoint, so every step is there once."""

    def __init__(self, folder: Path, stage: str, resume_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.stage = stage
        self.path = folder / "metrics.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            kept = [line for line in _complete_lines(self.path) if json.loads(line)["step"] <= resume_step]
            write_text(self.path, "".join(kept if resume_step else []))
        self._file = open(self.path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 (closed by close)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=resume_step + 1)

    def write(self, step: int, **values: Any) -> None:
        """One line {"stage", "step", **values}; numbers also go to TensorBoard, dictionaries with dotted names."""
        self._file.write(json.dumps({"stage": self.stage, "step": step, **values}) + "\n")
        for name, value in _flat(values):
            self._board.add_scalar(f"{self.stage}/{name}", value, step)

    def close(self) -> None:
        self._file.close()
        self._board.close()


def _complete_lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    flat: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            flat += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float):
            flat.append((prefix + name, float(value)))
    return flat
