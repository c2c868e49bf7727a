"""What all CTR models of a recipe are trained and measured on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.builders.ctr_vectors import read_vectors, say_coverage
from openmoon.config import Recipe
from openmoon.config.ctr import CtrConfig
from openmoon.console import bar, console
from openmoon.ctr.build import Parts, uses_vectors
from openmoon.ctr.build_log import build_log
from openmoon.ctr.content import VectorRows
from openmoon.ctr.events import compact
from openmoon.ctr.log import CtrLog
from openmoon.ctr.taobao_mm import read_taobao_mm
from openmoon.ctr.train import Job
from openmoon.data.shop import iter_events, load_catalog
from openmoon.errors import UserError
from openmoon.io import content_hash


@dataclass(frozen=True)
class Bench:
    """Settings, log and vectors of a recipe; models go to `folder`."""

    config: CtrConfig
    folder: Path
    log: CtrLog
    rows: VectorRows | None

    def job(self, name: str, seed: int) -> Job:
        """A model under a seed."""
        return Job(name, seed, self.folder / f"{name}-seed{seed}")

    def parts(self, name: str) -> Parts:
        """What a model is built on."""
        return Parts(self.log.entities, self.log.vocabulary, self.config, self.rows if uses_vectors(name) else None)

    def data_hash(self, name: str) -> str:
        """Identity of the data that a model learns from and is measured on, vectors included where it uses them."""
        return content_hash(self._log_hash, self._vectors_hash if uses_vectors(name) else "")

    @cached_property
    def _log_hash(self) -> str:
        log, past, numbers = self.log, self.log.histories, self.log.vocabulary.of_entities(self.log.entities)
        columns = [log.item, log.label, log.position, log.propensity, log.user, log.query, log.seconds, log.split, log.start,
                   log.end, past.entity, past.kind, past.seconds, log.entities.words, *numbers.values()]  # fmt: skip
        known = log.entities.products["product_id"], log.vocabulary.names["user"]
        names = [str(series.cast(pl.String).str.join("\n").item()) for series in known]
        return content_hash(*(np.ascontiguousarray(column).reshape(-1).view(np.uint8).data for column in columns), *names)

    @cached_property
    def _vectors_hash(self) -> str:
        return content_hash(self.rows.encoder, self.rows.vectors.numpy().tobytes()) if self.rows is not None else ""


def open_bench(recipe: Recipe) -> Bench:
    """Read shop, events and vectors, and say what was found. Raises `UserError` for a recipe without a `ctr` section, vectors
    that have learnt from the part that is measured, and what the readers raise."""
    if recipe.ctr is None:
        raise UserError(f"{recipe.name}: the recipe has no section ctr, so nothing says what to predict; add `ctr: {{}}`.")
    log, rows = _open_taobao_mm(recipe) if recipe.ctr.layout == "taobao-mm" else _open_shop(recipe)
    return Bench(recipe.ctr, recipe.workdir / "ctr", log, rows)


def _open_shop(recipe: Recipe) -> tuple[CtrLog, VectorRows | None]:
    assert recipe.ctr is not None
    shop = load_catalog(recipe.data)
    rejected = len(shop.rejected)

    def chunks() -> Iterator[pl.DataFrame]:
        nonlocal rejected
        for good, bad in iter_events(recipe.data, shop.catalog["product_id"]):
            rejected += len(bad)
            yield good

    events = compact(chunks(), shop.catalog["product_id"], recipe.workdir / "ctr")
    if rejected:
        console.print(f"  [yellow]{rejected:,} rows of the tables left out[/]; `openmoon data check` says why")
    log = build_log(shop.catalog, events, recipe.ctr)
    _say_counts(log)
    return log, read_vectors(recipe, log) if any(uses_vectors(name) for name in recipe.ctr.models) else None


def _open_taobao_mm(recipe: Recipe) -> tuple[CtrLog, VectorRows | None]:
    assert recipe.ctr is not None
    with bar("Reading TAOBAO-MM", None) as (progress, task):
        log, rows = read_taobao_mm(recipe.data.root, recipe.ctr, lambda done: progress.update(task, completed=done))
    _say_counts(log)
    if rows is not None:
        say_coverage(rows, log)
        console.print("  [yellow]TAOBAO-MM does not say how late the behaviour is that its vectors have learnt from[/]")
    return log, rows


def _say_counts(log: CtrLog) -> None:
    for what, count in log.counts.items():
        console.print(f"  {what}: {count:,}")
