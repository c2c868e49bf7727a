"""`openmoon data check`: what is in the tables, what is wrong with them, and whether the recipe's steps would start."""

from __future__ import annotations

from openmoon.builders.workspace import cache_folder, workspace_of
from openmoon.config import Recipe
from openmoon.console import bar
from openmoon.data.check import CheckReport, check_shop
from openmoon.data.image_cache import ImageCache
from openmoon.data.shop import Shop
from openmoon.errors import UserError
from openmoon.steps.posttrain import validation_pairs
from openmoon.steps.pretrain import validation_rows


def check(recipe: Recipe) -> CheckReport:
    """Check the recipe's shop; writes check.json and rejected.parquet to the workdir. Its `errors` are what `pretrain` and
    `posttrain` would say of the data instead of starting, and `evaluate` of its labels; what the rules of `posttrain.pairs` and
    the mix leave of the pairs `openmoon data pairs` shows."""
    images = ImageCache(cache_folder(recipe), recipe.encoder.image.size)
    with bar("Reading pictures", None) as (progress, task):
        return check_shop(recipe.data, images, recipe.workdir, lambda n: progress.advance(task, n),
                          lambda shop: _refusals(recipe, shop, images))  # fmt: skip


def _refusals(recipe: Recipe, shop: Shop, images: ImageCache) -> list[str]:
    try:
        work = workspace_of(recipe, shop, images)
    except UserError as refusal:
        return [str(refusal)]
    refusals = []
    if shop.queries is not None and shop.queries.is_empty():
        refusals.append("data.queries: no usable row in it, so there is nothing to evaluate by; label queries, or leave it out.")
    try:
        if recipe.pretrain:
            validation_rows(work)
    except UserError as refusal:
        refusals.append(str(refusal))
    try:
        if recipe.posttrain:
            validation_pairs(work, recipe.posttrain)
    except UserError as refusal:
        refusals.append(str(refusal))
    return refusals
