"""`openmoon benchmark`: any encoder on a suite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmoon.cli.arguments import out
from openmoon.console import plain

app = typer.Typer()


@app.command()
def benchmark(
    encoders: Annotated[
        list[str],
        typer.Argument(
            metavar="ENCODER...",
            help="A saved encoder, a model that sentence-transformers loads (folder or name), a .parquet table with product_id "
            "and vector, or the word `untuned`. Several are compared on the same candidates; `NAME=ENCODER` names one.",
            show_default=False,
        ),
    ],
    suite: Annotated[
        str,
        typer.Option(
            help="sample, fashion or grocery (our tables), mbe, mbe2, m5product or fashion200k (as downloaded), or a recipe: "
            "what `my-shop.yaml` holds out.",
            show_default=False,
        ),
    ],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the results.", show_default=False)],
    data: Annotated[
        Path | None, typer.Option(help="The folder that holds the suite's data; not for recipes.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the queries where a suite has more than 20,000 of a kind.")] = 0,
) -> None:
    """Compare encoders on a suite: five directions of retrieval, zero-shot classification, attribute prediction.

    Writes `retrieval.json`, `classification.json`, `attributes.json`, `benchmark.md` and `benchmark.html`. Only
    the suite's test part is measured; every table has chance, BM25 or the majority class beside the encoders.
    """
    from openmoon.evaluation.benchmark.tables import grids
    from openmoon.steps.benchmark import benchmark

    result = benchmark(encoders, suite, data, folder, seed)
    for grid in grids(result):
        out.print(grid.to_rich())
    for note in result.origin.notes:
        out.print(f"  {note}", markup=False, highlight=False)
    out.print(f"wrote {plain(folder / 'benchmark.html')}")
