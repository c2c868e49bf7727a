"""What a report tells, gathered from the files of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openmoon.errors import UserError
from openmoon.evaluation.examples import Example
from openmoon.evaluation.results import RetrievalResult


@dataclass(frozen=True)
class ReportData:
    """One run.

    `counts` says what was trained on, by group: {"Catalogue": {"products": 2000, …}, "Behaviour": {…}}. `metrics` are
    the lines of metrics.jsonl: {"stage", "step", "loss", "temperature", …} and {"stage", "step", "val": {…}}. What is
    empty or None has not happened, and the page says so.
    """

    name: str
    recipe: Mapping[str, Any]
    counts: Mapping[str, Mapping[str, int | str]] = field(default_factory=dict)
    metrics: Sequence[Mapping[str, Any]] = ()
    evaluation: RetrievalResult | None = None
    examples: Sequence[Example] = ()


def read_metrics(*paths: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl files, one after the other; files that do not exist are stages that did not run.

    A last line without its end (the run was killed while writing it) is left out; a broken line before it is a
    `UserError`.
    """
    return [line for path in paths if Path(path).is_file() for line in _lines(Path(path))]


def _lines(path: Path) -> list[dict[str, Any]]:
    found = []
    *whole, _ = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(whole, 1):
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise UserError(f"{path}: line {number} is not JSON ({error.msg}); remove it and go on.") from error
    return found
