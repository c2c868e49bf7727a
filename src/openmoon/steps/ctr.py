"""`openmoon ctr`: train the recipe's CTR models, and measure them on the same test impressions."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.config import Recipe
from openmoon.config.ctr import CtrConfig
from openmoon.ctr.build import Parts, uses_vectors
from openmoon.ctr.content import VectorRows, vector_rows
from openmoon.ctr.entities import Entities
from openmoon.ctr.evaluate import REFERENCE, TestPart, baselines, load_scores, measure, test_part
from openmoon.ctr.events import clean_text, compact
from openmoon.ctr.log import CtrLog, build_log
from openmoon.ctr.results import CtrResult
from openmoon.ctr.taobao_mm import read_taobao_mm
from openmoon.ctr.train import Job, train
from openmoon.data.shop import iter_events, load_catalog
from openmoon.errors import UserError
from openmoon.io import content_hash
from openmoon.learnt import NO_BEHAVIOUR
from openmoon.runtime import machine, versions
from openmoon.serving.load import load_query_vectors, load_vectors
from openmoon.serving.vectors import learnt_until
from openmoon.steps.console import bar, console

COVERAGE = 0.9  # share of the impressions whose product has a vector, below which there is a warning


@dataclass(frozen=True)
class Bench:
    """What all models of a recipe are trained and measured on."""

    config: CtrConfig
    log: CtrLog
    rows: VectorRows | None
    data_hash: str


def train_models(recipe: Recipe, fresh: bool = False) -> None:
    """Train every model of `ctr.models` under every seed; what is finished is left alone, what was killed goes on. `fresh` starts
    all of them again.

    Writes `<workdir>/ctr/<model>-seed<N>`.
    """
    bench = open_bench(recipe)
    for name in bench.config.models:
        parts = Parts(
            bench.log.entities, bench.log.vocabulary, bench.config, bench.rows if uses_vectors(name) else None
        )
        data = content_hash(bench.data_hash, _vectors_hash(bench.rows) if uses_vectors(name) else "")
        for seed in bench.config.seeds:
            job = Job(name, seed, folder_of(recipe, name, seed))
            if fresh:
                shutil.rmtree(job.folder, ignore_errors=True)
            with bar(f"Training {name}, seed {seed}", None) as (progress, task):
                done = train(
                    job,
                    bench.log,
                    parts,
                    data,
                    lambda step, total, note: progress.update(task, completed=step, total=total, note=note),
                )
            console.print(f"  {'wrote' if done else 'finished before:'} {job.folder}")


def evaluate_models(recipe: Recipe) -> CtrResult:
    """Measure the models of `ctr.models` and the baselines; writes `<workdir>/ctr/evaluation.json`."""
    began = time.perf_counter()
    bench = open_bench(recipe)
    config, log = bench.config, bench.log
    part = test_part(log, _truth(recipe, log))
    reference = _scores(recipe, REFERENCE, log, part) if REFERENCE in config.models else None
    systems = {name: measure(part, scores, None, []) for name, scores in baselines(log, part).items()}
    for name in config.models:
        scores = _scores(recipe, name, log, part)
        compared = reference if name != REFERENCE else None
        systems[name] = measure(
            part, scores, compared, [folder_of(recipe, name, s) / "summary.json" for s in config.seeds]
        )
    result = CtrResult(
        recipe=recipe.model_dump(mode="json"), counts=log.counts, candidates=part.hash,
        reference=REFERENCE if reference else None,
        coverage=bench.rows.covered if bench.rows else None, systems=systems, seconds=round(time.perf_counter() - began, 1),
        versions=versions(), machine=machine(),
    )  # fmt: skip
    result.save(recipe.workdir / "ctr" / "evaluation.json")
    return result


def open_bench(recipe: Recipe) -> Bench:
    """Read shop, events and vectors, and say what was found. Raises `UserError` for a recipe without a `ctr` section, vectors
    that have learnt from the part that is measured, and what the readers raise."""
    if recipe.ctr is None:
        raise UserError(
            f"{recipe.name}: the recipe has no section ctr, so nothing says what to predict; add `ctr: {{}}`."
        )
    log, rows = _open_taobao_mm(recipe) if recipe.ctr.layout == "taobao-mm" else _open_shop(recipe)
    columns = (
        log.item,
        log.label,
        log.user,
        log.query,
        log.start,
        log.end,
        log.histories.entity,
        log.histories.seconds if log.timed else log.entities.products["product_id"].to_numpy(),
    )
    data_hash = content_hash(*(np.ascontiguousarray(column).tobytes() for column in columns))
    return Bench(recipe.ctr, log, rows, data_hash)


def _open_shop(recipe: Recipe) -> tuple[CtrLog, VectorRows | None]:
    assert recipe.ctr is not None
    shop = load_catalog(recipe.data)
    rejected = len(shop.rejected)

    def chunks() -> Iterator[pl.DataFrame]:
        nonlocal rejected
        for good, bad in iter_events(recipe.data, shop.catalog["product_id"]):
            rejected += len(bad)
            yield good

    log = build_log(shop.catalog, compact(chunks(), shop.catalog["product_id"]), recipe.ctr)
    if rejected:
        console.print(f"  [yellow]{rejected:,} rows of the tables left out[/]; `openmoon data check` says why")
    _say_counts(log)
    return log, _vectors(recipe, log) if any(uses_vectors(name) for name in recipe.ctr.models) else None


def _open_taobao_mm(recipe: Recipe) -> tuple[CtrLog, VectorRows | None]:
    assert recipe.ctr is not None
    with bar("Reading TAOBAO-MM", None) as (progress, task):
        log, rows = read_taobao_mm(recipe.data.root, recipe.ctr, lambda done: progress.update(task, completed=done))
    _say_counts(log)
    if rows is not None:
        _say_coverage(rows, log)
        console.print("  [yellow]TAOBAO-MM does not say how late the behaviour is that its vectors have learnt from[/]")
    return log, rows


def _say_counts(log: CtrLog) -> None:
    for what, count in log.counts.items():
        console.print(f"  {what}: {count:,}")


def folder_of(recipe: Recipe, name: str, seed: int) -> Path:
    """Where a model is saved."""
    return recipe.workdir / "ctr" / f"{name}-seed{seed}"


def _scores(recipe: Recipe, name: str, log: CtrLog, part: TestPart) -> dict[int, np.ndarray]:
    assert recipe.ctr is not None
    return {seed: load_scores(folder_of(recipe, name, seed), log, part) for seed in recipe.ctr.seeds}


def _vectors(recipe: Recipe, log: CtrLog) -> VectorRows:
    assert recipe.ctr is not None
    path = recipe.ctr.vectors or recipe.workdir / "vectors.parquet"
    _refuse_seen(path, log)
    found = load_vectors(path)
    queries = _query_vectors(recipe, log.entities, found.encoder, found.matrix.shape[1])
    rows = vector_rows(log.entities, found.ids, found.matrix, queries, found.encoder or str(path))
    _say_coverage(rows, log)
    return rows


def _say_coverage(rows: VectorRows, log: CtrLog) -> None:
    with_vector = rows.vectors.any(1).numpy()
    shown, asked = float(with_vector[log.item].mean()), log.query > 0
    console.print(f"  vectors: of {rows.covered:.1%} of the products and {shown:.1%} of the impressions; of "
                  f"{with_vector[log.query[asked]].mean() if asked.any() else 0:.1%} of the requests with a query")  # fmt: skip
    if shown < COVERAGE:
        console.print(f"  [yellow]only {shown:.1%} of the impressions are of products with a vector[/]: the others share one "
                      "that is learnt, so what vectors are worth is understated; embed the whole catalogue")  # fmt: skip


def _query_vectors(recipe: Recipe, entities: Entities, encoder: str | None, dim: int) -> np.ndarray | None:
    """(queries, D), NaN where a query has none; None where there is no table."""
    assert recipe.ctr is not None
    path = recipe.ctr.query_vectors or recipe.workdir / "query_vectors.parquet"
    if recipe.ctr.query_vectors is None and not path.exists():
        if len(entities.queries):
            console.print(
                f"  no vectors of queries ({path} is not there; `openmoon embed` with embed.queries=true makes it)"
            )
        return None
    found = load_query_vectors(path)
    if found.encoder != encoder:
        raise UserError(f"{path}: made by encoder {found.encoder!r}, the products' vectors by {encoder!r}; cosines between them "
                        "mean nothing. Make both with one encoder.")  # fmt: skip
    known = found.queries.with_columns(clean_text(pl.col("query_text"))).with_row_index("place")
    known = known.unique(["query_text", "query_image"], keep="first", maintain_order=True)
    place = entities.queries.join(
        known, on=["query_text", "query_image"], how="left", nulls_equal=True, maintain_order="left"
    )["place"]
    if found.matrix.shape[1] != dim:
        raise UserError(f"{path}: vectors of {found.matrix.shape[1]} dimensions, the products' have {dim}; make both with one "
                        "encoder.")  # fmt: skip
    matrix = (
        found.matrix[place.fill_null(0).to_numpy()]
        if len(found.matrix)
        else np.zeros((len(place), found.matrix.shape[1]), np.float32)
    )
    return np.where(place.is_null().to_numpy()[:, None], np.float32(np.nan), matrix)


def _refuse_seen(path: Path, log: CtrLog) -> None:
    """`UserError` where the vectors' encoder has learnt from events of the part that is held out."""
    begins = datetime.fromtimestamp(int(log.seconds[log.requests("val")].min()), UTC).replace(tzinfo=None)
    seen = learnt_until(path)
    if seen is None:
        console.print(f"  [yellow]{path} does not say how late the behaviour is that its encoder learnt from[/]; make sure that "
                      f"it is before {begins}, where the validation part begins")  # fmt: skip
    elif seen != NO_BEHAVIOUR and seen >= begins:
        raise UserError(f"{path}: its encoder has learnt from events up to {seen}, but models are validated and tested on what "
                        f"comes from {begins} on; train it with data.until={begins.isoformat()} or before.")  # fmt: skip


def _truth(recipe: Recipe, log: CtrLog) -> pl.DataFrame | None:
    """uniform and p_true of every event, by rows of the events file, where the recipe names a simulated log's truth. `UserError`
    where it is of other events."""
    assert recipe.ctr is not None
    if recipe.ctr.truth is None:
        return None
    path = recipe.data.root / recipe.ctr.truth
    if not path.is_file():
        raise UserError(f"ctr.truth: {path} does not exist.")
    found = pl.read_parquet(path, columns=["uniform", "p_true"])
    if len(found) <= log.row.max():
        raise UserError(f"ctr.truth: {path} has {len(found):,} rows, but the events have more; it speaks of them row by row. "
                        "Name the truth of these events, or leave ctr.truth out.")  # fmt: skip
    return found


def _vectors_hash(rows: VectorRows | None) -> str:
    return content_hash(rows.encoder, rows.vectors.numpy().tobytes()) if rows is not None else ""
