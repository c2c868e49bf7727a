"""`openmoon`: one thin verb per step. Heavy imports happen inside the verbs, after the process was tuned and the recipe read."""

from __future__ import annotations

import sys

import typer

from openmoon.cli import benchmark, ctr, data, steps
from openmoon.errors import UserError, explained
from openmoon.runtime import tune_process

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="**OpenMOON**: a catalogue and its logs become product embeddings tuned to your shoppers.\n\n"
    "A recipe (YAML) says what to read, what to train and where results go; every verb takes one, and `key=value` "
    "changes to it. `openmoon run RECIPE` does all steps in order.",
)
app.add_typer(steps.app)
app.add_typer(benchmark.app)
app.add_typer(data.app, name="data")
app.add_typer(ctr.app, name="ctr")


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and exit status 2."""
    tune_process()
    try:
        app()
    except (UserError, OSError) as error:  # a file that cannot be read or written is the user's to mend as well
        print(f"error: {explained(error) if isinstance(error, OSError) else error}", file=sys.stderr)
        raise SystemExit(2) from None
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        print(f"error: the GPU has too little free memory ({str(error).splitlines()[0]}); lower posttrain.chunk or "
              "embed.batch_size, or set OPENMOON_DEVICE=cpu.", file=sys.stderr)  # fmt: skip
        raise SystemExit(2) from None
