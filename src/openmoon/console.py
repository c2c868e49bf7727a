"""What people see on the terminal: one console, one look for progress bars and for tables of many figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

console = Console(stderr=True)


def plain(path: Path) -> str:
    """The path as it is: brackets in it are no markup."""
    return escape(str(path))


def figures(title: str) -> Table:
    """An empty table for many columns of figures: few lines, one space between columns, so that 80 of them suffice for many."""
    return Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=SIMPLE_HEAD, pad_edge=False,
                 collapse_padding=True)  # fmt: skip


def new_progress() -> Progress:
    """A progress bar with counts, elapsed and remaining time, and room for a short text."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"), console=console, transient=not console.is_terminal,
    )  # fmt: skip


@contextmanager
def bar(description: str, total: int | None) -> Iterator[tuple[Progress, TaskID]]:
    """A progress bar for one piece of work."""
    with new_progress() as progress:
        yield progress, progress.add_task(description, total=total, note="")


def tracked(chunks: Iterable[int], description: str, total: int) -> Iterator[int]:
    """Iterate over the start positions of chunks of `total` things, showing how many are done."""
    if not total:
        return
    with bar(description, total) as (progress, task):
        for start in chunks:
            progress.update(task, completed=start)
            yield start
        progress.update(task, completed=total)
