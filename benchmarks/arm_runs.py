"""What the runs of an ablation found, a line each: a table of arms and seeds grows over days and machines.

A line belongs to a recipe by what it says, wherever its data and results lie, and tells apart what was learnt from and what was
asked by their content.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from seeded import Measured

from openmoon.config import Recipe
from openmoon.device import compute_device, device_name
from openmoon.io import content_hash, write_text


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

    @classmethod
    def of(cls, arm: str, settings: str, measured: Measured) -> ArmRun:
        """What a run of this process's machine found."""
        result, device = measured.result, compute_device()
        last = result.systems[-1]
        where = str(result.machine["processor"]) if device.type == "cpu" else device_name(device)
        return cls(
            arm=arm, seed=result.seed, settings=settings, data=result.data_hash, asked=result.questions,
            made=datetime.now(UTC).date().isoformat(), device=where, torch=result.versions["torch"],
            metrics={cell.name: dict(cell.metrics[last] or {}) for cell in result.cells},
            classes=measured.labels.classes, attributes=measured.labels.attributes, ranks=result.effective_ranks[last],
        )  # fmt: skip


def settings_of(recipe: Recipe) -> str:
    """Identity of what a recipe says, 12 hex digits: not its name, seed or places, nor settings that have their default, so that
    settings that are yet to come change nothing. Where a default or what code does changes, lines of before have to go."""
    said = recipe.model_dump_json(
        exclude={"name": True, "workdir": True, "seed": True, "data": {"root", "cache"}}, exclude_defaults=True
    )
    return content_hash(said)[:12]


def read_runs(path: Path) -> list[ArmRun]:
    """The lines of the file, none where it is not there; exits naming a line that is none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(ArmRun.model_validate_json(line))
        except ValidationError as error:
            sys.exit(f"{path}, line {number}: not what a run found ({str(error).splitlines()[0]}); remove the line.")
    return found


def write_runs(path: Path, runs: Sequence[ArmRun]) -> None:
    """All lines, by arm and seed."""
    lines = sorted(runs, key=lambda run: (run.arm, run.seed, run.settings))
    write_text(path, "".join(run.model_dump_json() + "\n" for run in lines))


def refuse_others(runs: Sequence[ArmRun]) -> None:
    """Exit where arms of one seed learnt from other data or were asked something else."""
    first: dict[int, ArmRun] = {}
    for run in runs:
        other = first.setdefault(run.seed, run)
        if (run.data, run.asked) != (other.data, other.asked):
            sys.exit(f"seed {run.seed}: {other.arm} and {run.arm} did not learn from the same data, or were not asked the same "
                     "queries among the same products; remove the lines of the other data.")  # fmt: skip
