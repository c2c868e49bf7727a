"""What a shipped recipe is expected to reach: mean ± tolerance of every metric over several seeds, kept beside the recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from openmoon.errors import UserError
from openmoon.evaluation.results import RetrievalResult
from openmoon.io import write_text

GATED = ("recall@1", "recall@10", "mrr")
SPREADS = 3.0  # standard deviations of the seeds that a run may be away from their mean …
LEAST = 0.02  # … but never less than this: other processors round otherwise


class Range(BaseModel):
    """Where a metric should be."""

    model_config = ConfigDict(extra="forbid")

    mean: float
    tolerance: float

    def holds(self, value: float) -> bool:
        return abs(value - self.mean) <= self.tolerance


class Deviation(NamedTuple):
    """A metric that is not where it should be; `found` is None where the result does not have it."""

    direction: str
    system: str
    metric: str
    expected: Range
    found: float | None


class Expected(BaseModel):
    """Ranges by direction, system and metric, for one recipe on one data set."""

    model_config = ConfigDict(extra="forbid")

    recipe: str
    data_hash: str
    seeds: list[int]
    ranges: dict[str, dict[str, dict[str, Range]]]

    @classmethod
    def of(cls, results: Sequence[RetrievalResult]) -> Expected:
        """From the results of one recipe with different seeds; at least 3."""
        if len(results) < 3:
            raise UserError(f"{len(results)} seeds: expected metrics need at least 3.")
        first = results[0]
        ranges: dict[str, dict[str, dict[str, Range]]] = {}
        for cell in first.cells:
            for system, metrics in cell.metrics.items():
                if metrics is not None:
                    same = [result.cell(cell.query, cell.item).metrics[system] or {} for result in results]
                    ranges.setdefault(cell.name, {})[system] = {
                        metric: _range([one[metric] for one in same]) for metric in GATED
                    }
        seeds = [result.seed for result in results]
        return cls(recipe=first.recipe["name"], data_hash=first.data_hash, seeds=seeds, ranges=ranges)

    def deviations(self, result: RetrievalResult) -> Iterator[Deviation]:
        """Metrics of `result` outside their range. Raises `UserError` for another recipe's result or other data."""
        for field, ours, theirs in (
            ("recipe", self.recipe, result.recipe["name"]),
            ("data_hash", self.data_hash, result.data_hash),
        ):
            if ours != theirs:
                raise UserError(f"{field}: the result has {theirs!r}, the expected metrics are those of {ours!r}.")
        cells = {cell.name: cell for cell in result.cells}
        for direction, systems in self.ranges.items():
            for system, metrics in systems.items():
                found = cells[direction].metrics.get(system) if direction in cells else None
                for metric, expected in metrics.items():
                    value = None if found is None else found[metric]
                    if value is None or not expected.holds(value):
                        yield Deviation(direction, system, metric, expected, value)

    def __len__(self) -> int:
        return sum(len(metrics) for systems in self.ranges.values() for metrics in systems.values())

    def save(self, path: Path) -> None:
        """Write JSON atomically."""
        write_text(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Expected:
        """Read what `save` wrote; `UserError` for a missing or different file."""
        try:
            return cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{path}: no expected metrics ({reason}); benchmarks/seeds.py --expected writes them."
            ) from error


def _range(values: Sequence[float]) -> Range:
    return Range(mean=round(fmean(values), 4), tolerance=round(max(LEAST, SPREADS * stdev(values)), 4))
