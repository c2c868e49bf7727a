"""Recipes with seeds: both stages and the evaluation, skipped where they are finished."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from labelled import LabelAccuracy, label_accuracy

from openmoon.builders.trained import starting_folder, trained_folder
from openmoon.builders.workspace import open_workspace
from openmoon.config import Recipe, load_recipe
from openmoon.evaluation.results import RetrievalResult
from openmoon.io import content_hash
from openmoon.runtime import cores
from openmoon.steps.augment import augment
from openmoon.steps.evaluate import evaluate
from openmoon.steps.posttrain import posttrain
from openmoon.steps.pretrain import pretrain


class Measured(NamedTuple):
    """What was found of the encoder that a run ended with, and the day."""

    result: RetrievalResult
    labels: LabelAccuracy
    day: str


def run(path: Path, overrides: list[str], seed: int) -> RetrievalResult:
    """Results go to `<workdir>-seed<N>`, tokens to a cache beside it; a finished run of the same recipe and data is not run
    again."""
    return _apart(_run, path, overrides, seed, False)


def run_all(
    runs: Sequence[tuple[Path, int]], overrides: list[str], jobs: int = 1
) -> Iterator[tuple[tuple[Path, int], Measured]]:
    """`run` of recipes with seeds, in this order but for arms that start from others, which come last; `jobs` at a time; and what
    its encoder tells of labels. Runs that agree on seed, data, dense encoder and stage 1 train stage 1 once, before any of them
    starts."""
    first: dict[Path, tuple[Path, int]] = {}
    for path, seed in runs:
        recipe = with_seed(path, overrides, seed)
        if (recipe.workdir / "evaluation.json").exists() and _apart(_finished, recipe) is not None:
            continue
        if recipe.pretrain and ((recipe.posttrain and recipe.posttrain.coaugment) or _shared(recipe).workdir not in first):
            first[_shared(recipe).workdir] = path, seed
    begun = list(first.values())
    for path, seed in begun[:1]:  # alone: it fills the cache that all read
        _apart(_begin, path, overrides, seed)
    if jobs > 1:
        os.environ["OMP_NUM_THREADS"] = str(max(1, cores() // jobs))  # of the processes to come
    later = [run for run in runs if arm_started_from(load_recipe(run[0], overrides))]
    pool = ThreadPoolExecutor(jobs)
    try:
        list(pool.map(lambda one: _apart(_begin, one[0], overrides, one[1]), begun[1:]))
        for some in ([run for run in runs if run not in later], later):
            found = pool.map(lambda one: _apart(_measured, one[0], overrides, one[1]), some)
            yield from zip(some, found, strict=True)
    finally:
        pool.shutdown(cancel_futures=True)  # where the caller has had enough


def data_of(recipe: Recipe) -> str | None:
    """Hash of what a recipe learns from; None where its catalogue is not there."""
    return _apart(_data_hash, recipe) if (recipe.data.root / recipe.data.catalog).exists() else None


def _data_hash(recipe: Recipe) -> str:
    return open_workspace(recipe).data_hash


def _apart(call: Callable[..., Any], *arguments: Any) -> Any:
    """In a process of its own: what one run leaves in memory would add up over many."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()


def with_seed(path: Path, overrides: list[str], seed: int) -> Recipe:
    """The recipe of a run with a seed: its workdir and cache are those of `run`, and where the recipe starts from another arm, it
    starts from that arm's run with the same seed."""
    base = load_recipe(path, overrides)
    folder = base.workdir.with_name(f"{base.workdir.name}-seed{seed}")
    cache = base.data.cache or base.workdir.parent / "cache"
    changes = [f"seed={seed}", f"workdir={folder}", f"data.cache={cache}"]
    if arm_started_from(base):
        assert base.posttrain is not None
        assert base.posttrain.start is not None
        arm, *rest = base.posttrain.start.relative_to(base.workdir.parent).parts
        changes.append(f"posttrain.start={base.workdir.parent.joinpath(f'{arm}-seed{seed}', *rest)}")
    return load_recipe(path, [*overrides, *changes])


def arm_started_from(recipe: Recipe) -> str | None:
    """The folder of the arm beside this one whose encoder its stage 2 starts from; None where it starts otherwise."""
    start = recipe.posttrain.start if recipe.posttrain else None
    if start is None or not start.is_relative_to(recipe.workdir.parent):
        return None
    return start.relative_to(recipe.workdir.parent).parts[0]


def _run(path: Path, overrides: list[str], seed: int, share: bool) -> RetrievalResult:
    recipe = with_seed(path, overrides, seed)
    if (result := _finished(recipe)) is not None:
        return result
    folder = recipe.workdir
    folder.mkdir(parents=True, exist_ok=True)
    first = _shared(recipe) if share and recipe.pretrain else recipe
    if first is not recipe:
        _link(folder, first.workdir)
    _first_stage(first)
    if recipe.posttrain:
        posttrain(recipe)
    return evaluate(recipe)


def _measured(path: Path, overrides: list[str], seed: int) -> Measured:
    result, recipe = _run(path, overrides, seed, True), with_seed(path, overrides, seed)
    made = (recipe.workdir / "evaluation.json").stat().st_mtime
    return Measured(result, label_accuracy(recipe), datetime.fromtimestamp(made, UTC).date().isoformat())


def _finished(recipe: Recipe) -> RetrievalResult | None:
    """What a run of this recipe on this data found, None where there is none."""
    done = recipe.workdir / "evaluation.json"
    if not done.exists():
        return None
    result = RetrievalResult.load(done)
    same = Recipe.model_validate(result.recipe) == recipe and result.data_hash == open_workspace(recipe).data_hash
    return result if same else None


def _begin(path: Path, overrides: list[str], seed: int) -> None:
    _first_stage(_shared(with_seed(path, overrides, seed)))


def _first_stage(recipe: Recipe) -> None:
    """Stage 1, and the co-augmentation that it judges."""
    if recipe.pretrain and trained_folder(recipe, "pretrain") is None:
        pretrain(recipe)
    if recipe.posttrain and recipe.posttrain.coaugment and not (recipe.workdir / "augmented" / "augmented.parquet").exists():
        augment(recipe, starting_folder(recipe))


def _shared(recipe: Recipe) -> Recipe:
    """The recipe of stage 1 in a place of its own."""
    parts = (recipe.data, recipe.encoder.dense(), recipe.pretrain, recipe.augment)
    name = content_hash(str(recipe.seed), *(part.model_dump_json() for part in parts if part))[:12]
    shared = recipe.workdir.parent / f"stage-1-{name}"
    return recipe.model_copy(update={"workdir": shared, "encoder": recipe.encoder.dense()})


def _link(folder: Path, shared: Path) -> None:
    for step in ("pretrain", "augmented"):
        link = folder / step
        link.unlink(missing_ok=True)
        link.symlink_to((shared / step).resolve())
