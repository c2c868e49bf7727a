"""What an evaluation asks and ranks: the labelled queries and the products that a recipe holds out."""

from __future__ import annotations

import polars as pl

from openmoon.builders.workspace import Workspace
from openmoon.console import console
from openmoon.data.pairs.taught import taught_queries
from openmoon.data.shop import Shop
from openmoon.data.splits import without_seen
from openmoon.errors import UserError


def can_evaluate(shop: Shop) -> bool:
    """Whether anything in the shop's tables is a query."""
    return shop.queries is not None or shop.logs_queries


def held_out_items(work: Workspace) -> pl.DataFrame:
    """The candidates: product_id, title, rich, image (path; null where unreadable)."""
    items = work.items
    if work.recipe.evaluate.pool == "test" and work.recipe.data.split.by == "product":
        items = items.filter(split="test")
    return items.select("product_id", "title", "rich", image=work.shop.readable_paths("image"))


def held_out_queries(work: Workspace) -> pl.DataFrame:
    """Labelled test queries: query_text, query_image (path), product_id.

    They come from the recipe's `data.queries` where it names one, else from the behaviour of the test split. Labelled
    texts and pictures that this recipe or one with other actions trains on are left out and counted: recipes are measured on
    the same queries.
    """
    if work.shop.queries is None:
        if work.recipe.data.queries is not None:
            raise ValueError("the workspace was opened without its labels")
        found = work.pairs.filter(split="test")
    else:
        found = work.with_picture_keys(work.shop.queries)
        if work.recipe.data.split.by == "product":
            labelled = found.height
            found = found.join(work.items.filter(split="test"), on="product_id", how="semi", maintain_order="left")
            console.print(f"  test queries: {found.height:,} of {labelled:,} labelled ones look for a test product")
        if work.shop.logs_queries:
            labelled = found.height
            found, lost = without_seen(*work.with_looks(found, _taught(work)))
            for what, count in lost.items():
                console.print(f"  test queries: {count:,} of {labelled:,} lose their {what}: trainings may have used it")
    if found.is_empty() and work.shop.queries is not None:
        raise UserError(f"data.queries: of its {len(work.shop.queries):,} usable rows none asks for a product that is "
                        "measured, in words or by a photo that no training may have used; label more, or raise "
                        "data.split.test.")  # fmt: skip
    if found.is_empty():
        raise UserError("evaluation: the test split has no query→item pair; raise data.split.test or name data.queries.")
    return found.select("query_text", "product_id", query_image=work.shop.readable_paths("query_image"))


def _taught(work: Workspace) -> pl.DataFrame:
    """query_text, query_image_key of what the recipe trains on, and of what others would."""
    products, split = work.items.select("product_id", "split"), work.recipe.data.split
    own = work.pairs.filter(pl.col("split") != "test").select("query_text", "query_image_key")
    return pl.concat([own, taught_queries(lambda actions: work.behaviour(actions, tell=False), products, split)])
