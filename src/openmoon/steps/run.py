"""`openmoon run`: all steps of a recipe in order, naming what is switched off."""

from __future__ import annotations

from openmoon.builders.held_out import can_evaluate
from openmoon.builders.trained import starting_folder
from openmoon.config import Recipe
from openmoon.console import console, plain
from openmoon.data.shop import load_shop
from openmoon.errors import UserError
from openmoon.evaluation.results import RetrievalResult
from openmoon.steps.augment import augment
from openmoon.steps.check import check
from openmoon.steps.embed import embed
from openmoon.steps.evaluate import evaluate
from openmoon.steps.posttrain import posttrain
from openmoon.steps.pretrain import pretrain
from openmoon.steps.report import report


def run(recipe: Recipe, fresh: bool = False) -> RetrievalResult | None:
    """Check, pretrain, augment (where stage 2 draws from it), posttrain, evaluate, embed, report; returns the evaluation, None
    where there are no queries. `UserError` before stage 1 where the check says that a step would not start."""
    shop = load_shop(recipe.data)
    if recipe.posttrain:
        shop.require_queries()  # stage 1 takes long
    asks = can_evaluate(shop)
    del shop  # which may be large
    _say("data check")
    checked = check(recipe)
    console.print(checked)
    if checked.errors:
        raise UserError(checked.errors[0])
    _say("pretrain" if recipe.pretrain else "pretrain: skipped, the recipe says pretrain: null")
    if recipe.pretrain:
        pretrain(recipe, fresh)
    if recipe.posttrain and recipe.posttrain.coaugment:
        _say("data augment")
        console.print(augment(recipe, starting_folder(recipe)))
    _say("posttrain" if recipe.posttrain else "posttrain: skipped, the recipe says posttrain: null")
    if recipe.posttrain:
        posttrain(recipe, fresh)
    result = None
    if asks:
        _say("evaluate")
        result = evaluate(recipe)
    else:
        _say("evaluate: skipped, no queries in data.queries or data.events")
    _say("embed")
    embed(recipe)
    _say("report")
    console.print(f"  wrote {plain(report(recipe))}")
    return result


def _say(step: str) -> None:
    console.rule(f"[bold]{step}", align="left")
