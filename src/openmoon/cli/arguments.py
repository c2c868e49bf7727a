"""Arguments that verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from openmoon.config import Recipe

RecipePath = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A recipe, such as recipes/sample.yaml.", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="Changes to the recipe, such as `posttrain.epochs=3`.", show_default=False
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget the checkpoint of this recipe and train from the start.")]
EncoderFolder = Annotated[
    Path | None,
    typer.Option(
        "--encoder", help="A saved encoder; default: the last stage trained in the workdir.", show_default=False
    ),
]
out = Console()


def load(path: Path, overrides: list[str] | None) -> Recipe:
    """Read the recipe before anything heavy is imported, so that mistakes in it are answered at once."""
    from openmoon.config import load_recipe

    return load_recipe(path, overrides or [])
