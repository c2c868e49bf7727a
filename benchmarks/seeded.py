"""One recipe with one seed: both stages and the evaluation, skipped where they are finished."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from openmoon.builders.trained import starting_folder
from openmoon.builders.workspace import open_workspace
from openmoon.config import Recipe, load_recipe
from openmoon.evaluation.results import RetrievalResult
from openmoon.io import content_hash
from openmoon.steps.augment import augment
from openmoon.steps.evaluate import evaluate
from openmoon.steps.posttrain import posttrain
from openmoon.steps.pretrain import pretrain


def run(path: Path, overrides: list[str], seed: int, share: bool = False) -> RetrievalResult:
    """Results go to `<workdir>-seed<N>`, tokens to a cache beside it; a finished run of the same recipe and data is not run
    again. With `share`, runs that agree on seed, data, dense encoder and stage 1 train stage 1 once. Each run has a process of
    its own: what one leaves in memory would add up over many."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_run, path, overrides, seed, share).result()


def with_seed(path: Path, overrides: list[str], seed: int) -> Recipe:
    """The recipe of a run with a seed: its workdir and cache are those of `run`."""
    base = load_recipe(path, overrides)
    folder = base.workdir.with_name(f"{base.workdir.name}-seed{seed}")
    cache = base.data.cache or base.workdir.parent / "cache"
    return load_recipe(path, [*overrides, f"seed={seed}", f"workdir={folder}", f"data.cache={cache}"])


def _run(path: Path, overrides: list[str], seed: int, share: bool) -> RetrievalResult:
    recipe = with_seed(path, overrides, seed)
    folder = recipe.workdir
    done = folder / "evaluation.json"
    if done.exists():
        result = RetrievalResult.load(done)
        if result.recipe == recipe.model_dump(mode="json") and result.data_hash == open_workspace(recipe).data_hash:
            return result
    folder.mkdir(parents=True, exist_ok=True)
    first = _shared(recipe) if share and recipe.pretrain else recipe
    if recipe.pretrain:
        pretrain(first)
    if recipe.posttrain and recipe.posttrain.coaugment and not (folder / "augmented" / "augmented.parquet").exists():
        augment(first, starting_folder(first))
    if recipe.posttrain:
        posttrain(recipe)
    return evaluate(recipe)


def _shared(recipe: Recipe) -> Recipe:
    """The recipe of stage 1, and of the co-augmentation that it judges, in a place of its own that the workdir links to."""
    parts = (recipe.data, recipe.encoder.dense(), recipe.pretrain, recipe.augment)
    name = content_hash(str(recipe.seed), *(part.model_dump_json() for part in parts if part))[:12]
    shared = recipe.workdir.parent / f"stage-1-{name}"
    for step in ("pretrain", "augmented"):
        link = recipe.workdir / step
        link.unlink(missing_ok=True)
        link.symlink_to((shared / step).resolve())
    return recipe.model_copy(update={"workdir": shared, "encoder": recipe.encoder.dense()})
