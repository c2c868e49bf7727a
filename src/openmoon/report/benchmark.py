"""`write_benchmark_page`: a benchmark as one self-contained HTML page, in the look of the run's report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from openmoon.evaluation.benchmark.results import Benchmark
from openmoon.evaluation.benchmark.retrieval import FIVE
from openmoon.evaluation.benchmark.scores import MAJORITY, Scores
from openmoon.evaluation.benchmark.tables import grids, heads_once
from openmoon.evaluation.results import UNDEFINED
from openmoon.io import write_text
from openmoon.report.page import environment
from openmoon.report.tables import Value, colours


@dataclass(frozen=True)
class Glance:
    """A card: what is measured, a bar per system, and on how many."""

    name: str
    values: list[Value]
    note: str


def write_benchmark_page(result: Benchmark, path: Path) -> None:
    """Write the page atomically: no script, and nothing that has to be fetched from elsewhere."""
    palette = {MAJORITY: "#cfcac0"} | colours([system for system in result.ranked if system != MAJORITY])
    html = environment().get_template("benchmark.html").render(
        result=result, origin=result.origin, grids=grids(result), glances=list(_glances(result, palette)), colours=palette,
        heads_once=heads_once,
    )
    write_text(path, html)


def _glances(result: Benchmark, palette: dict[str, str]) -> Iterator[Glance]:
    for way in result.retrieval:
        found = {system: (way.metrics[system] or {}).get("recall@10") for system in result.ranked}
        note = f"{way.queries:,} queries, pool of {way.pool:,} products"
        yield Glance(f"{FIVE[way.query, way.item]} · R@10", _values(found, palette), note)
    for cell in result.classification:
        scores = {system: _accuracy(cell.metrics[system]) for system in result.labelled}
        note = f"{cell.test:,} examples of {cell.classes:,} classes"
        yield Glance(f"zero-shot, {cell.view} · accuracy", _values(scores, palette), note)
    for view in dict.fromkeys(cell.view for cell in result.attributes):
        cells = [cell for cell in result.attributes if cell.view == view and cell.label != "category"]
        if cells:
            means = {system: _mean([_accuracy(cell.metrics[system]) for cell in cells]) for system in result.labelled}
            note = f"mean of {len(cells)} attributes: {', '.join(cell.label for cell in cells)}"
            yield Glance(f"attributes, {view} · accuracy", _values(means, palette), note)


def _accuracy(scores: Scores | None) -> float | None:
    return None if scores is None else scores.accuracy


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def _values(found: dict[str, float | None], palette: dict[str, str]) -> list[Value]:
    texts = {system: UNDEFINED if value is None else f"{value:.3f}" for system, value in found.items()}
    best = max((text for text in texts.values() if text != UNDEFINED), default=None)
    return [Value(system, text, found[system] or 0.0, text == best, palette[system]) for system, text in texts.items()]
