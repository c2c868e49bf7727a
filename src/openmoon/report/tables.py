"""Evaluation results as the page shows them: headline bars, one glance over all directions, one table per direction."""

from __future__ import annotations

from dataclasses import dataclass

from openmoon.evaluation.metrics import METRICS
from openmoon.evaluation.results import UNDEFINED, Cell, RetrievalResult
from openmoon.evaluation.retrieval import BM25, CHANCE

NAMES = {
    "title": "title",
    "rich": "rich text",
    "image": "image",
    "title+image": "title + image",
    "rich+image": "rich text + image",
    "text": "text",
    "text+image": "text + image",
}
_FULLEST = ("rich+image", "title+image", "rich", "title", "image")
_ENCODERS = ("#a9bed6", "#5b87b8", "#1f4e8c")  # the first, those between, the last: darker is later


@dataclass(frozen=True)
class Value:
    """A printed metric; `share` (0…1) is the length of its bar, `best` whether no system of the row is better."""

    system: str
    text: str
    share: float
    best: bool
    colour: str


@dataclass(frozen=True)
class Row:
    """A system's or a metric's values."""

    name: str
    values: list[Value]


@dataclass(frozen=True)
class Table:
    """A direction with one row per system and one column per metric."""

    name: str
    cell: Cell
    rows: list[Row]


@dataclass(frozen=True)
class Headline:
    """A direction's R@1 of every system that has one, and what changed from the first encoder to the last."""

    name: str
    cell: Cell
    values: list[Value]
    before: Value
    after: Value


def headlines(result: RetrievalResult) -> list[Headline]:
    """For each query kind, the direction with the fullest item view."""
    found = []
    for kind in dict.fromkeys(cell.query for cell in result.cells):
        cell = min((cell for cell in result.cells if cell.query == kind), key=lambda cell: _FULLEST.index(cell.item))
        values = [value for value in _values(result, cell, "recall@1") if value.text != UNDEFINED]
        encoders = [value for value in values if value.system not in (CHANCE, BM25)] or values
        found.append(Headline(direction(cell), cell, values, encoders[0], encoders[-1]))
    return found


def glance(result: RetrievalResult, metric: str = "recall@1") -> list[Row]:
    """One metric of every system for every direction."""
    return [Row(direction(cell), _values(result, cell, metric)) for cell in result.cells]


def tables(result: RetrievalResult) -> list[Table]:
    """Every metric of every system, one table per direction."""
    found = []
    for cell in result.cells:
        columns = [_values(result, cell, metric) for metric in METRICS]
        rows = [Row(system, [column[place] for column in columns]) for place, system in enumerate(result.systems)]
        found.append(Table(direction(cell), cell, rows))
    return found


def direction(cell: Cell) -> str:
    """Such as `text → rich text + image`."""
    return f"{NAMES[cell.query]} → {NAMES[cell.item]}"


def colours(systems: list[str]) -> dict[str, str]:
    """A colour for each system: grey for chance, sand for BM25, blues for encoders."""
    encoders = [system for system in systems if system not in (CHANCE, BM25)]
    first, between, last = _ENCODERS
    blues = [last, *[between] * (len(encoders) - 2), first]
    return {CHANCE: "#cfcac0", BM25: "#c9a465", **dict(zip(reversed(encoders), blues, strict=False))}


def _values(result: RetrievalResult, cell: Cell, metric: str) -> list[Value]:
    best, palette = result.best(cell, metric), colours(result.systems)
    shares = ((cell.metrics.get(system) or {}).get(metric, 0.0) for system in result.systems)
    return [
        Value(system, text, min(share, 1.0), system in best, palette[system])
        for system, text, share in zip(result.systems, result.row(cell, metric), shares, strict=True)
    ]
