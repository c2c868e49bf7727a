"""What vectors are worth: CTR models, one thin verb per step."""

from __future__ import annotations

import typer

from openmoon.cli.arguments import Fresh, Overrides, RecipePath, load, out
from openmoon.console import plain

app = typer.Typer(no_args_is_help=True, help="CTR models on events and vectors: train, evaluate, report.")


@app.command()
def train(recipe: RecipePath, overrides: Overrides = None, fresh: Fresh = False) -> None:
    """Train the recipe's `ctr.models` under each of `ctr.seeds`.

    Models that use vectors need `<workdir>/vectors.parquet` (`openmoon embed`) or `ctr.vectors=TABLE`: any encoder's will do.
    `openmoon ctr train RECIPE ctr.models='[din, cube]' ctr.seeds='[0]'` trains two models once. A killed run resumes.
    """
    loaded = load(recipe, overrides)
    from openmoon.steps.ctr import train_models

    train_models(loaded, fresh)


@app.command()
def evaluate(recipe: RecipePath, overrides: Overrides = None) -> None:
    """AUC, GAUC, LogLoss and PCOC of all models and of baselines on the same later impressions, by slices, with intervals.

    Writes `<workdir>/ctr/evaluation.json`.
    """
    loaded = load(recipe, overrides)
    from openmoon.steps.ctr import evaluate_models

    out.print(evaluate_models(loaded).to_table())
    out.print(f"wrote {plain(loaded.workdir / 'ctr' / 'evaluation.json')}")


@app.command()
def report(recipe: RecipePath, overrides: Overrides = None) -> None:
    """One self-contained HTML page: what vectors are worth, all models and baselines, calibration, exposure and slices.

    Reads `<workdir>/ctr/evaluation.json` alone and writes `<workdir>/ctr/report.html`.
    """
    loaded = load(recipe, overrides)
    from openmoon.steps.ctr_report import ctr_report

    out.print(f"wrote {plain(ctr_report(loaded))}")
