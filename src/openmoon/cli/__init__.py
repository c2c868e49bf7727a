"""`openmoon`: one thin verb per step. Heavy imports happen inside the verbs, after the process was tuned and the recipe read."""

from __future__ import annotations

import sys

import typer

from openmoon.cli import benchmark, ctr, data, steps
from openmoon.errors import one_line
from openmoon.runtime import tune_process

INTERRUPTED = 130  # exit status after Ctrl-C

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="**OpenMOON**: a catalogue and its logs become product embeddings tuned to your shoppers.\n\n"
    "A recipe (YAML) says what to read, what to train and where results go; most verbs take one, and `key=value` "
    "changes to it. `openmoon run RECIPE` does all steps from the tables to vectors and a report.",
)
app.add_typer(steps.app)
app.add_typer(benchmark.app)
app.add_typer(data.app, name="data")
app.add_typer(ctr.app, name="ctr")


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and exit status 2, Ctrl-C one line and 130."""
    tune_process()
    try:
        with one_line():
            app()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            print("interrupted: the same command goes on from what it has kept.", file=sys.stderr)
        raise
