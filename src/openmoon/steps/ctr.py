"""`openmoon ctr`: train the recipe's CTR models, and measure them on the same test impressions."""

from __future__ import annotations

import time

import numpy as np
import polars as pl

from openmoon.builders.ctr_bench import Bench, open_bench
from openmoon.config import Recipe
from openmoon.console import bar, console, plain
from openmoon.ctr.evaluate import REFERENCE, HeldOut, baselines, held_out, load_scores, measure
from openmoon.ctr.log import CtrLog
from openmoon.ctr.results import CtrResult
from openmoon.ctr.train import run_id, train
from openmoon.data.tables import read_parquet
from openmoon.errors import UserError
from openmoon.io import alone, clear, read_json
from openmoon.runtime import machine, versions


def train_models(recipe: Recipe, fresh: bool = False) -> None:
    """Train every model of `ctr.models` under every seed; what is finished is left alone, what was killed goes on. `fresh` starts
    all of them again.

    Writes `<workdir>/ctr/<model>-seed<N>`.
    """
    bench = open_bench(recipe)
    for name in bench.config.models:
        for seed in bench.config.seeds:
            job = bench.job(name, seed)
            with bar(f"Training {name}, seed {seed}", None) as (progress, task):

                def show(step: int, total: int, note: str) -> None:
                    progress.update(task, completed=step, total=total, note=note)

                with alone(job.folder):
                    if fresh:
                        clear(job.folder)
                    done = train(job, bench.log, bench.parts(name), bench.data_hash(name), show)
            console.print(f"  {'wrote' if done else 'finished before:'} {plain(job.folder)}")


def evaluate_models(recipe: Recipe) -> CtrResult:
    """Measure the models of `ctr.models` and the baselines; writes `<workdir>/ctr/evaluation.json`."""
    began = time.perf_counter()
    bench = open_bench(recipe)
    config, log = bench.config, bench.log
    part = held_out(log, _truth(recipe, log))
    reference = _scores(bench, REFERENCE, part) if REFERENCE in config.models else None
    systems = {name: measure(part, scores, None, []) for name, scores in baselines(log, part).items()}
    for name in config.models:
        summaries = [bench.job(name, seed).folder / "summary.json" for seed in config.seeds]
        systems[name] = measure(part, _scores(bench, name, part), reference if name != REFERENCE else None, summaries)
    result = CtrResult(
        recipe=recipe.model_dump(mode="json"), counts=log.counts, candidates=part.hash,
        reference=REFERENCE if reference else None, coverage=bench.rows.covered if bench.rows else None, systems=systems,
        seconds=round(time.perf_counter() - began, 1), versions=versions(), machine=machine(),
    )  # fmt: skip
    result.save(bench.folder / "evaluation.json")
    return result


def _scores(bench: Bench, name: str, part: HeldOut) -> dict[int, np.ndarray]:
    """Seed → predictions. `UserError` where a model is not trained, or under other settings or data than the recipe's."""
    found = {}
    for seed in bench.config.seeds:
        job = bench.job(name, seed)
        found[seed] = load_scores(job.folder, bench.log, part)
        run = read_json(job.folder / "summary.json", "run")["run"]
        if run != run_id(job, bench.config, bench.data_hash(name)):
            raise UserError(f"{job.folder}: was trained with other settings, data or vectors than this recipe's; run "
                            "`openmoon ctr train` again, or name what it was trained with.")  # fmt: skip
    return found


def _truth(recipe: Recipe, log: CtrLog) -> pl.DataFrame | None:
    """uniform and p_true of every event, by rows of the events file, where the recipe names a simulated log's truth. `UserError`
    where it is of other events."""
    assert recipe.ctr is not None
    if recipe.ctr.truth is None:
        return None
    path = recipe.data.root / recipe.ctr.truth
    if not path.is_file():
        raise UserError(f"ctr.truth: {path} does not exist.")
    found = read_parquet(path)
    if lacking := [name for name in ("uniform", "p_true") if name not in found.columns]:
        raise UserError(f"ctr.truth: {path} has no column {lacking[0]!r}; name the truth/events.parquet of a simulated shop.")
    if len(found) <= log.row.max():
        raise UserError(f"ctr.truth: {path} has {len(found):,} rows, but the events have more; it speaks of them row by row. "
                        "Name the truth of these events, or leave ctr.truth out.")  # fmt: skip
    if "row" in found.columns and not found["row"].equals(pl.Series("row", range(len(found))).cast(found["row"].dtype)):
        raise UserError(f"ctr.truth: {path}: its column row does not count from 0 in the order of the events; write it in their "
                        "order.")  # fmt: skip
    if found["uniform"].dtype != pl.Boolean or found["uniform"].null_count():
        raise UserError(f"ctr.truth: {path}: uniform is {found['uniform'].dtype} with {found['uniform'].null_count():,} nulls; "
                        "expected true or false in every row.")  # fmt: skip
    return found.select("uniform", "p_true")
