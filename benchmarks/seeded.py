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
from pydantic import BaseModel, ValidationError

from openmoon.builders.trained import starting_folder, trained_folder
from openmoon.builders.variants import training_products
from openmoon.builders.workspace import open_workspace
from openmoon.config import Recipe, load_recipe
from openmoon.data.coaugment.table import origin_of
from openmoon.errors import UserError
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
    starts, and those that also agree on co-augmentation make that once."""
    stages: dict[Path, Recipe] = {}
    made: dict[Path, Recipe] = {}
    for path, seed in runs:
        recipe = with_seed(path, overrides, seed)
        if (recipe.workdir / "evaluation.json").exists() and _apart(_finished, recipe) is not None:
            continue
        if recipe.pretrain:
            stages.setdefault(_stage_1(recipe).workdir, recipe)
        if recipe.pretrain and _coaugments(recipe):
            made.setdefault(_coaugmented(recipe).workdir, recipe)
    begun = list(stages.values())
    for recipe in begun[:1]:  # alone: it fills the cache that all read
        _apart(_pretrain, recipe, _stage_1(recipe))
    if jobs > 1:
        os.environ["OMP_NUM_THREADS"] = str(max(1, cores() // jobs))  # of the processes to come
    pool = ThreadPoolExecutor(jobs)
    try:
        list(pool.map(lambda recipe: _apart(_pretrain, recipe, _stage_1(recipe)), begun[1:]))
        list(pool.map(lambda recipe: _apart(_augment, recipe, _coaugmented(recipe)), made.values()))
        for some in _in_turn(runs, overrides):
            found = pool.map(lambda one: _apart(_measured, one[0], overrides, one[1]), some)
            yield from zip(some, found, strict=True)
    finally:
        pool.shutdown(cancel_futures=True)  # where the caller has had enough


def _in_turn(runs: Sequence[tuple[Path, int]], overrides: list[str]) -> Iterator[list[tuple[Path, int]]]:
    """The runs in batches: those that start from none of the others, then those that start from these, and so on."""
    ahead = [((path, seed), with_seed(path, overrides, seed)) for path, seed in runs]
    while ahead:
        to_come = {recipe.workdir for _, recipe in ahead}
        ready = [run for run, recipe in ahead if recipe.workdir.parent / (arm_started_from(recipe) or "") not in to_come]
        yield ready or [run for run, _ in ahead]  # of arms in a ring the first says what is missing
        ahead = [(run, recipe) for run, recipe in ahead if ready and run not in ready]


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
    if share and recipe.pretrain:
        _link(folder / "pretrain", _stage_1(recipe).workdir)
        _link(folder / "augmented", _coaugmented(recipe).workdir if _coaugments(recipe) else None)
    else:
        _pretrain(recipe, recipe)
        _augment(recipe, recipe)
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
    try:
        said = Recipe.model_validate(result.recipe)
    except ValidationError:  # of an openmoon with other fields
        return None
    return result if said == recipe and result.data_hash == open_workspace(recipe).data_hash else None


def _pretrain(recipe: Recipe, where: Recipe) -> None:
    """Stage 1 of `recipe`, if it has one that is not trained yet, in the place of `where`."""
    if recipe.pretrain and trained_folder(where, "pretrain") is None:
        pretrain(where)


def _augment(recipe: Recipe, where: Recipe) -> None:
    """Co-augmentation of `recipe`, if it has one that is not made yet, in the place of `where`; its start judges it."""
    path = where.workdir / "augmented" / "augmented.parquet"
    if _coaugments(recipe) and not (path.exists() and origin_of(path).products == training_products(open_workspace(where))):
        augment(where, starting_folder(recipe if where is recipe else _stage_1(recipe)))


def _coaugments(recipe: Recipe) -> bool:
    return recipe.posttrain is not None and recipe.posttrain.coaugment > 0


def _stage_1(recipe: Recipe) -> Recipe:
    """The recipe of stage 1 in a place of its own."""
    dense = recipe.encoder.dense()
    return _in_place(recipe.model_copy(update={"encoder": dense}), "stage-1", recipe.data, dense, recipe.pretrain)


def _coaugmented(recipe: Recipe) -> Recipe:
    """The recipe of co-augmentation by that stage 1."""
    stage = _stage_1(recipe)
    return _in_place(stage, "augmented", recipe.data, stage.encoder, recipe.pretrain, recipe.augment)


def _in_place(recipe: Recipe, name: str, *parts: BaseModel | None) -> Recipe:
    """The recipe in a folder that is shared by what agrees on seed and `parts`."""
    said = [part.model_dump_json() for part in parts if part]
    folder = recipe.workdir.parent / f"{name}-{content_hash(str(recipe.seed), *said)[:12]}"
    return recipe.model_copy(update={"workdir": folder})


def _link(link: Path, shared: Path | None) -> None:
    """Let `link` lead to what is shared under its name; to nothing where that is None."""
    if link.is_dir() and not link.is_symlink():
        raise UserError(f"{link}: holds what a run of its own made, but these runs share it; move the folder away.")
    link.unlink(missing_ok=True)
    if shared:
        link.symlink_to((shared / link.name).resolve())
