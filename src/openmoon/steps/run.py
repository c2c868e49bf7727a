"""`openmoon run`: all steps of a recipe in order, naming what is switched off."""

from __future__ import annotations

from openmoon.config import Recipe
from openmoon.evaluation.results import RetrievalResult
from openmoon.steps.check import check
from openmoon.steps.console import console
from openmoon.steps.embed import embed
from openmoon.steps.evaluate import can_evaluate, evaluate
from openmoon.steps.posttrain import posttrain
from openmoon.steps.pretrain import pretrain
from openmoon.steps.report import report


def run(recipe: Recipe, fresh: bool = False) -> RetrievalResult | None:
    """Check, pretrain, posttrain, evaluate, embed, report; returns the evaluation, None where there are no queries."""
    _say("data check")
    console.print(check(recipe))
    for name, section, stage in (("pretrain", recipe.pretrain, pretrain), ("posttrain", recipe.posttrain, posttrain)):
        _say(name if section is not None else f"{name}: skipped, the recipe says {name}: null")
        if section is not None:
            stage(recipe, fresh)
    result = None
    if can_evaluate(recipe):
        _say("evaluate")
        result = evaluate(recipe)
    else:
        _say("evaluate: skipped, the recipe names neither data.events nor data.queries")
    _say("embed")
    embed(recipe)
    _say("report")
    console.print(f"  wrote {report(recipe)}")
    return result


def _say(step: str) -> None:
    console.rule(f"[bold]{step}", align="left")
