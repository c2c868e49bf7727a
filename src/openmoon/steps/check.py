"""`openmoon data check`: what is in the tables, what is wrong with them."""

from __future__ import annotations

from openmoon.builders.workspace import cache_folder
from openmoon.config import Recipe
from openmoon.console import bar
from openmoon.data.check import CheckReport, check_shop
from openmoon.data.image_cache import ImageCache


def check(recipe: Recipe) -> CheckReport:
    """Check the recipe's shop; writes check.json and rejected.parquet to the workdir."""
    images = ImageCache(cache_folder(recipe), recipe.encoder.image.size)
    with bar("Reading pictures", None) as (progress, task):
        return check_shop(recipe.data, images, recipe.workdir, lambda n: progress.advance(task, n), recipe.posttrain is not None)
