"""`openmoon run`: all steps of a recipe in order, naming what is switched off."""

from __future__ import annotations

from openmoon.config import Recipe
from openmoon.evaluation.results import RetrievalResult
from openmoon.steps.check import check
from openmoon.steps.console import console
from openmoon.steps.embed import embed
from openmoon.steps.evaluate import evaluate
from openmoon.steps.posttrain import posttrain
from openmoon.steps.pretrain import pretrain
from openmoon.steps.report import report


def run(recipe: Recipe, fresh: bool = False) -> RetrievalResult:
    """Check, pretrain, posttrain, evaluate, embed, report; returns the evaluation."""
    _say("data check")
    console.print(check(recipe))
    for name, section, stage in (("pretrain", recipe.pretrain, pretrain), ("posttrain", recipe.posttrain, posttrain)):
        _say(name if section is not None else f"{name}: skipped, the recipe says {name}: null")
        if section is not None:
            stage(recipe, fresh)
    _say("evaluate")
    result = evaluate(recipe)
    _say("embed")
    embed(recipe)
    _say("report")
    console.print(f"  wrote {report(recipe)}")
    return result


def _say(step: str) -> None:
    console.rule(f"[bold]{step}", align="left")
