"""A benchmark as tables: one form for the terminal, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from openmoon.console import figures
from openmoon.evaluation.benchmark.results import Benchmark, LabelCell
from openmoon.evaluation.benchmark.retrieval import FIVE
from openmoon.evaluation.benchmark.scores import SCORES
from openmoon.evaluation.metrics import METRICS
from openmoon.evaluation.results import UNDEFINED

RECALLS = ("recall@1", "recall@5", "recall@10")


@dataclass(frozen=True)
class Row:
    """`head` says what is measured and on how many; `values` are one per system, `shares` the same as numbers (None: —)."""

    head: list[str]
    values: list[str]
    shares: list[float | None]

    @property
    def best(self) -> set[int]:
        """Columns of `values` that no other one beats, as printed; none where there is nothing to beat."""
        found = [value for value in self.values if value != UNDEFINED]
        return {place for place, value in enumerate(self.values) if len(found) > 1 and value == max(found)}


@dataclass(frozen=True)
class Grid:
    """A task as a table: headings, and rows in groups that belong together. `words` of the headings are text, not numbers; for
    those `aside` a terminal has no room."""

    title: str
    caption: str
    heads: list[str]
    words: set[str]
    systems: list[str]
    groups: list[list[Row]]
    aside: tuple[str, ...] = ()

    def to_rich(self) -> Table:
        """For the terminal, 80 columns of it with up to four systems; the best of a row in bold."""
        table = figures(self.title)
        left_out = f" Not here, but in benchmark.md and benchmark.html: {', '.join(self.aside)}." if self.aside else ""
        table.caption, table.caption_justify = self.caption + left_out, "left"
        kept = [place for place, heading in enumerate(self.heads) if heading not in self.aside]
        for heading in (*(self.heads[place] for place in kept), *map(escape, self.systems)):
            table.add_column(heading, justify="left" if heading in self.words else "right")
        for group in self.groups:
            for row, head in zip(group, heads_once(group), strict=True):
                values = (f"[bold]{v}[/]" if n in row.best else v for n, v in enumerate(row.values))
                table.add_row(*(escape(head[place]) for place in kept), *values)
            table.add_section()
        return table

    def to_markdown(self) -> str:
        """For the docs."""
        heads = [*self.heads, *self.systems]
        lines = [f"### {self.title}", "", self.caption, "", _markdown_row(heads)]
        lines.append("|" + "|".join("---" if heading in self.words else "---:" for heading in heads) + "|")
        for group in self.groups:
            for row in group:
                values = [f"**{v}**" if n in row.best else v for n, v in enumerate(row.values)]
                lines.append(_markdown_row([*row.head, *values]))
        return "\n".join(lines) + "\n"


def heads_once(group: Sequence[Row]) -> list[list[str]]:
    """The heads of a group as people read them: empty where a row says the same as the one above, its metric excepted."""
    shown, before = [], [""] * len(group[0].head)
    for head in (row.head for row in group):
        same = next((n for n, (a, b) in enumerate(zip(head, before, strict=True)) if a != b), len(head))
        kept = len(head) - 1 if same >= len(head) - 1 else min(same, 1)
        shown.append([""] * kept + head[kept:])
        before = head
    return shown


def grids(result: Benchmark) -> list[Grid]:
    """The tables of the tasks that were measured."""
    found = [_retrieval(result), _classification(result), _attributes(result)]
    return [grid for grid in found if grid.groups]


def to_markdown(result: Benchmark) -> str:
    """The whole result as a Markdown page."""
    origin = result.origin
    head = [
        f"## Benchmark: {origin.suite}", "",
        f"Pool of {origin.pool:,} products, {origin.queries:,} labelled queries; {origin.test_examples:,} examples measured, "
        f"{origin.train_examples:,} to teach probes. Data {origin.revision}, seed {origin.seed}.", "",
    ]  # fmt: skip
    encoders = [f"- {name}: {', '.join(f'{k} {v}' for k, v in facts.items())}" for name, facts in origin.encoders.items()]
    notes = [f"- {note}" for note in origin.notes]
    return "\n".join([*head, *encoders, *notes, "", *(grid.to_markdown() for grid in grids(result))])


def _retrieval(result: Benchmark) -> Grid:
    groups = [
        [
            _row([FIVE[cell.query, cell.item], f"{cell.pool:,}", f"{cell.queries:,}", METRICS[metric]],
                 [(cell.metrics[system] or {}).get(metric) for system in result.ranked])
            for metric in RECALLS
        ]
        for cell in result.retrieval
    ]  # fmt: skip
    caption = "t text, i image, mm both. R@k: the labelled product is among the first k of the pool; other products that are " \
              "right for the query are left out of its ranking, ties count with their expectation."  # fmt: skip
    heads = ["direction", "pool", "queries", "metric"]
    return Grid("Retrieval", caption, heads, {"direction", "metric"}, result.ranked, groups)


def _classification(result: Benchmark) -> Grid:
    groups = [
        [
            _row([cell.view, f"{cell.classes:,}", f"{cell.test:,}", f"{cell.left_out:,}", _share(cell.named), name],
                 _values(cell, metric, result.labelled))
            for metric, name in SCORES.items()
        ]
        for cell in result.classification
    ]  # fmt: skip
    caption = "The category whose name, as a text, is nearest; nothing is learnt. Texts are titles alone. named: share of the " \
              "titles that hold the name; lacking: examples without this view."  # fmt: skip
    heads = ["view", "classes", "n", "lacking", "named", "metric"]
    aside = ("classes", "lacking", "named")
    return Grid("Zero-shot classification", caption, heads, {"view", "metric"}, result.labelled, groups, aside)


def _attributes(result: Benchmark) -> Grid:
    groups = [
        [
            _row([cell.label, cell.view, f"{cell.classes:,}", f"{cell.train:,}", f"{cell.test:,}", f"{cell.rare:,}",
                  _share(cell.named), SCORES[metric]], _values(cell, metric, result.labelled))
            for cell in cells for metric in ("accuracy", "f1")
        ]
        for cells in _by_label(result.attributes)
    ]  # fmt: skip
    caption = "Linear probe on frozen vectors: ridge regression taught by the train part, its penalty chosen there by " \
              "leaving one out. rare: test examples left out since fewer than 5 train examples have their value."  # fmt: skip
    heads = ["label", "view", "classes", "train", "n", "rare", "named", "metric"]
    aside = ("classes", "train", "rare", "named")
    return Grid("Attribute prediction", caption, heads, {"label", "view", "metric"}, result.labelled, groups, aside)


def _by_label(cells: Sequence[LabelCell]) -> Iterator[list[LabelCell]]:
    for label in dict.fromkeys(cell.label for cell in cells):
        yield [cell for cell in cells if cell.label == label]


def _values(cell: LabelCell, metric: str, systems: Sequence[str]) -> list[float | None]:
    return [None if (found := cell.metrics[system]) is None else getattr(found, metric) for system in systems]


def _row(head: list[str], values: Sequence[float | None]) -> Row:
    return Row(head, [UNDEFINED if value is None else f"{value:.3f}" for value in values], list(values))


def _share(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.0%}"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
