"""Draw many pictures with worker processes. Each has its own random numbers: the number of workers shows nowhere."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from rich.progress import Progress, TaskID

from openmoon.data.images import ImageRejected
from openmoon.data.sample.creatives import CreativePlan
from openmoon.data.sample.drawing.photos import cut_out, shopper_photo
from openmoon.data.sample.drawing.render import Look, catalogue_photo, draw_product
from openmoon.data.sample.drawing.scenes import creative_picture
from openmoon.runtime import cores

_BATCH = 32
_WORTH_A_WORKER = 200  # pictures; starting a process costs as much as drawing about this many


class Job(Protocol):
    """A picture to draw and save; `draw` returns why it could not, or None."""

    def draw(self) -> str | None: ...


@dataclass(frozen=True)
class CatalogueJob:
    """The shop's photo of a drawn product."""

    target: Path
    look: Look
    number: int
    seed: int

    def draw(self) -> str | None:
        catalogue_photo(self.look, np.random.default_rng([self.seed, 1, self.number])).save(self.target, quality=90)
        return None


@dataclass(frozen=True)
class ShopperJob:
    """A shopper's photo. `source` is how a drawn product looks, or the catalogue photo of a real one."""

    target: Path
    source: Look | Path
    number: int
    seed: int

    def draw(self) -> str | None:
        try:
            cutout = draw_product(self.source) if isinstance(self.source, Look) else cut_out(self.source)
        except ImageRejected as reason:
            return str(reason)
        picture, quality = shopper_photo(cutout, np.random.default_rng([self.seed, 2, self.number]))
        picture.save(self.target, quality=quality)
        return None


@dataclass(frozen=True)
class CreativeJob:
    """An advertising picture of a drawn product."""

    target: Path
    look: Look
    plan: CreativePlan
    number: int
    seed: int

    def draw(self) -> str | None:
        random = np.random.default_rng([self.seed, 3, self.number])
        creative_picture(draw_product(self.look), self.plan, random).save(self.target, quality=90)
        return None


def draw_all(jobs: Sequence[Job], workers: int | None, bar: Progress, what: str) -> list[str | None]:
    """Draw every picture with `workers` processes (default: one per core), moving a progress bar.

    Returns for each job why it failed, or None.
    """
    task = bar.add_task(what, total=len(jobs))
    batches = [jobs[i : i + _BATCH] for i in range(0, len(jobs), _BATCH)]
    workers = min(workers or cores(), 1 + len(jobs) // _WORTH_A_WORKER)
    if workers == 1:
        return _gather(map(_draw_batch, batches), bar, task)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return _gather(pool.map(_draw_batch, batches), bar, task)


def _gather(batches: Iterable[list[str | None]], bar: Progress, task: TaskID) -> list[str | None]:
    outcomes: list[str | None] = []
    for batch in batches:
        outcomes += batch
        bar.advance(task, len(batch))
    return outcomes


def _draw_batch(jobs: Sequence[Job]) -> list[str | None]:
    return [job.draw() for job in jobs]
