"""The result of a retrieval evaluation: what is written as JSON, and the same as a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from rich.table import Table

from openmoon.console import figures
from openmoon.errors import UserError
from openmoon.evaluation.metrics import METRICS
from openmoon.io import write_text

UNDEFINED = "—"


class Cell(BaseModel):
    """One direction, query kind → item view, with the metrics of every system over the same candidates."""

    model_config = ConfigDict(extra="forbid")

    query: str  # text, image, text+image
    item: str  # title, rich, image, title+image, rich+image
    pool: int  # items ranked: those that have this view
    queries: int  # distinct queries
    pairs: int  # evaluation instances: labelled (query, product) pairs
    left_out: int  # labelled pairs whose product has no such view
    metrics: dict[str, dict[str, float] | None]  # system → metrics; None where the system cannot compare the two

    @property
    def name(self) -> str:
        """Such as `text → rich+image`."""
        return f"{self.query} → {self.item}"


class RetrievalResult(BaseModel):
    """Everything needed to read, compare and repeat an evaluation."""

    model_config = ConfigDict(extra="forbid")

    recipe: dict[str, Any]
    split: str
    data_hash: str
    seed: int
    versions: dict[str, str]
    machine: dict[str, str | int]
    pool: int  # products that may be found
    labels: int  # labelled queries as given, the ones below included
    unknown_products: int  # labels of products that are not in the pool
    systems: list[str]
    encoders: dict[str, str] = {}  # stage → fingerprint of the weights
    questions: str = ""  # hash of the labelled queries and of the products that they are asked among
    cells: list[Cell]
    effective_ranks: dict[str, dict[str, float]] = {}  # encoder → item view → of the items' vectors, 1 to their dimensions

    def save(self, path: Path) -> None:
        """Write JSON atomically."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> RetrievalResult:
        """Read what `save` wrote; `UserError` for a missing or different file."""
        try:
            return cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path}: not an evaluation result ({reason}). `openmoon evaluate` writes one.") from error

    def cell(self, query: str, item: str) -> Cell:
        """The cell of a direction; `KeyError` when it was not evaluated."""
        for cell in self.cells:
            if (cell.query, cell.item) == (query, item):
                return cell
        raise KeyError(f"{query} → {item}")

    def to_table(self, metrics: Sequence[str] = tuple(METRICS)) -> Table:
        """Systems side by side for the terminal, the best of each row in bold."""
        table = figures(self._title())
        for heading in ("query → item", "metric", *self.systems):
            table.add_column(heading, justify="left" if heading in ("query → item", "metric") else "right")
        for cell in self.cells:
            told = (cell.name, f"  {cell.queries:,} queries", f"  pool of {cell.pool:,}")
            for head, metric in zip_longest(told, metrics):
                row = (METRICS[metric], *self._marked(cell, metric, "[bold]", "[/]")) if metric else ()
                table.add_row(head, *row)
            table.add_section()
        return table

    def collapse(self) -> str:
        """Effective ranks of the items' vectors in words, by encoder and view; a few of many dimensions: collapsed."""
        ranks = (f"{name} {ranks_in_words(views)}" for name, views in self.effective_ranks.items())
        return "effective rank of the items' vectors: " + "; ".join(ranks)

    def to_markdown(self, metrics: Sequence[str] = tuple(METRICS)) -> str:
        """The same table as Markdown, for the docs."""
        lines = [
            "| query → item | pool | queries | metric | " + " | ".join(self.systems) + " |",
            "|---|---:|---:|---|" + "---:|" * len(self.systems),
        ]
        for cell in self.cells:
            for metric in metrics:
                values = self._marked(cell, metric, "**", "**")
                head = f"| {cell.name} | {cell.pool:,} | {cell.queries:,} | {METRICS[metric]} | "
                lines.append(head + " | ".join(values) + " |")
        return "\n".join(lines) + "\n"

    def row(self, cell: Cell, metric: str) -> list[str]:
        """A metric of every system, printed; `—` where it is not defined."""
        return [_printed(cell.metrics.get(system), metric) for system in self.systems]

    def best(self, cell: Cell, metric: str) -> set[str]:
        """The systems with the best printed value of a metric (the lowest median rank, the highest of the others)."""
        found = {s: v for s, v in zip(self.systems, self.row(cell, metric), strict=True) if v != UNDEFINED}
        choose = min if metric == "median_rank" else max
        winner = choose((float(value.replace(",", "")) for value in found.values()), default=None)
        return {system for system, value in found.items() if float(value.replace(",", "")) == winner}

    def _marked(self, cell: Cell, metric: str, start: str, end: str) -> list[str]:
        best = self.best(cell, metric)
        values = zip(self.systems, self.row(cell, metric), strict=True)
        return [f"{start}{value}{end}" if system in best else value for system, value in values]

    def _title(self) -> str:
        unknown = f", {self.unknown_products:,} of them for products outside it" if self.unknown_products else ""
        return f"Retrieval, {self.split} split: pool of {self.pool:,} products, {self.labels:,} labels{unknown}"


def ranks_in_words(ranks: dict[str, float]) -> str:
    """Effective ranks by view, such as `rich 101, image 97`."""
    return ", ".join(f"{view} {rank:.0f}" for view, rank in ranks.items())


def _printed(metrics: dict[str, float] | None, metric: str) -> str:
    if metrics is None:
        return UNDEFINED
    return f"{metrics[metric]:,.1f}" if metric == "median_rank" else f"{metrics[metric]:.3f}"
