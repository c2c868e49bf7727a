"""`openmoon evaluate`: every stage of a run on held-out queries, beside BM25, the untuned trunks and chance."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from openmoon.config import Recipe
from openmoon.data.pairs.taught import taught_queries
from openmoon.data.shop import Shop
from openmoon.data.splits import without_seen
from openmoon.errors import UserError
from openmoon.evaluation.encode import Encode
from openmoon.evaluation.results import RetrievalResult
from openmoon.evaluation.retrieval import evaluate_retrieval
from openmoon.io import write_text
from openmoon.steps.console import console
from openmoon.steps.systems import CachedEncode, scratch_folder, untuned_system
from openmoon.steps.trained import load_trained
from openmoon.steps.workspace import Workspace, cache_folder, open_workspace

STAGES = {"pretrain": "stage 1", "posttrain": "stage 2"}


def evaluate(recipe: Recipe) -> RetrievalResult:
    """Evaluate the stages that were trained; write evaluation.json and evaluation.md to the workdir."""
    work = open_workspace(recipe)
    with scratch_folder(recipe.workdir) as temporary:
        systems = compared_systems(work, temporary)
        result = evaluate_retrieval(
            systems, held_out_queries(work), held_out_items(work), recipe=recipe.model_dump(mode="json"), split="test",
            data_hash=work.data_hash, seed=recipe.seed, max_queries=recipe.evaluate.max_queries, progress=console.is_terminal,
        )  # fmt: skip
    result.save(recipe.workdir / "evaluation.json")
    write_text(recipe.workdir / "evaluation.md", result.to_markdown())
    return result


def can_evaluate(shop: Shop) -> bool:
    """Whether anything in the shop's tables is a query."""
    return shop.queries is not None or shop.logs_queries


def compared_systems(work: Workspace, temporary: Path) -> dict[str, Encode]:
    """Untuned trunks and the stages that were trained. Tokens of frozen trunks come from the run's cache, those of tuned
    ones go to the folder `temporary`."""
    shared = cache_folder(work.recipe)
    systems: dict[str, Encode] = {"untuned": untuned_system(work.recipe.encoder, work.images, shared)}
    for stage, name in STAGES.items():
        encoder = load_trained(work, stage)
        if encoder is not None:
            systems[name] = CachedEncode(encoder, work.images, temporary if _tunes_trunks(work.recipe) else shared)
    return systems


def _tunes_trunks(recipe: Recipe) -> bool:
    stages = [stage for stage in (recipe.pretrain, recipe.posttrain) if stage is not None]
    return any(stage.train_image_trunk or stage.train_text_trunk for stage in stages)


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
        found = work.pairs.filter(split="test")
    else:
        found = work.with_picture_keys(work.shop.queries)
        if work.recipe.data.split.by == "product":
            labelled = found.height
            found = found.join(work.items.filter(split="test"), on="product_id", how="semi", maintain_order="left")
            console.print(f"  test queries: {found.height:,} of {labelled:,} labelled ones look for a test product")
        if work.shop.logs_queries:
            labelled = found.height
            found, lost = without_seen(found, _taught(work))
            for column, count in lost.items():
                console.print(f"  test queries: {count:,} of {labelled:,} lose their {column}: trainings may have used it")
    if found.is_empty():
        raise UserError(
            "evaluation: the test split has no query→item pair; raise data.split.test or name data.queries."
        )
    return found.select("query_text", "product_id", query_image=work.shop.readable_paths("query_image"))


def _taught(work: Workspace) -> pl.DataFrame:
    """query_text, query_image_key of what the recipe trains on, and of what others would."""
    products, split = work.items.select("product_id", "split"), work.recipe.data.split
    own = work.pairs.filter(pl.col("split") != "test").select("query_text", "query_image_key")
    return pl.concat([own, taught_queries(lambda actions: work.behaviour(actions, tell=False), products, split)])
