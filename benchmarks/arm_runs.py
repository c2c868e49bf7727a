"""What the runs of an ablation found, a line each: a table of arms and seeds grows over days and machines.

A line belongs to a recipe by what it says, wherever its data and results lie, and tells apart what was learnt from and what was
asked by their content.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from seeded import Measured

from openmoon.config import Recipe
from openmoon.io import content_hash, locked, write_text


class ArmRun(BaseModel):
    """An arm of the ablation with one seed, and what its last encoder does."""

    model_config = ConfigDict(extra="forbid")

    arm: str
    seed: int
    settings: str  # hash of what the recipe says of the training and the measurement
    data: str  # hash of what was learnt from
    asked: str  # hash of the labelled queries, and of the products among which they are asked
    made: str  # day
    device: str
    torch: str
    metrics: dict[str, dict[str, float]]  # direction, such as `text → rich+image` → metric → value
    classes: float | None  # accuracies, as `labelled.LabelAccuracy`
    attributes: float | None
    ranks: dict[str, float]  # view of the held-out products → effective rank of their vectors

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What a file holds one line of."""
        return self.arm, self.seed, self.settings, self.data

    @classmethod
    def of(cls, arm: str, settings: str, measured: Measured) -> ArmRun:
        """What a run found."""
        result = measured.result
        last, where = result.systems[-1], result.machine
        asked = content_hash(result.questions, *(str((c.name, c.pool, c.queries, c.pairs)) for c in result.cells))
        return cls(
            arm=arm, seed=result.seed, settings=settings, data=result.data_hash, asked=asked[:12], made=measured.day,
            device=str(where["processor"] if where["device"] == "cpu" else where["device"]), torch=result.versions["torch"],
            metrics={cell.name: dict(cell.metrics[last] or {}) for cell in result.cells},
            classes=measured.labels.classes, attributes=measured.labels.attributes, ranks=result.effective_ranks[last],
        )  # fmt: skip


def settings_of(recipe: Recipe, start: str = "") -> str:
    """Identity of what a recipe says, 12 hex digits: not its name, seed or places, nor settings that have their default, so that
    settings that are yet to come change nothing. Where a default or what code does changes, lines of before have to go.
    `start` is the identity of the arm that it starts from, if any; the place of that arm's encoder is none of it then."""
    places: dict[str, Any] = {"name": True, "workdir": True, "seed": True, "data": {"root", "cache"}}
    places |= {"posttrain": {"start"}} if start else {}
    return content_hash(recipe.model_dump_json(exclude=places, exclude_defaults=True), start)[:12]


def read_runs(path: Path) -> list[ArmRun]:
    """The lines of the file, of several for one run the last; none where it is not there. Exits naming a line that is none."""
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else [], 1):
        try:
            run = ArmRun.model_validate_json(line)
        except ValidationError as error:
            sys.exit(f"{path}, line {number}: not what a run found ({str(error).splitlines()[0]}); remove the line.")
        found[run.key] = run
    return [found[key] for key in sorted(found)]


def add_run(path: Path, run: ArmRun) -> None:
    """Put a run into the file, in the place of what it held of the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        lines = {known.key: known for known in read_runs(path)} | {run.key: run}
        write_text(path, "".join(lines[key].model_dump_json() + "\n" for key in sorted(lines)))


def refuse_others(runs: Sequence[ArmRun]) -> None:
    """Exit where runs, of whichever arm and seed, learnt from other data or were asked something else."""
    for run in runs:
        if (run.data, run.asked) != (runs[0].data, runs[0].asked):
            one, other = (f"{which.arm} (seed {which.seed})" for which in (runs[0], run))
            sys.exit(f"{one} and {other} did not learn from the same data, or were not asked the same queries among the same "
                     "products; remove the lines of the other data.")  # fmt: skip
