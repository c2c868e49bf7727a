"""Visual expansion: the subject of a product's picture before other backgrounds, from other viewpoints, in other light.

The subject's own pixels only pass through geometry and light, so what is printed on it stays. What is drawn follows from a
hash of seed, product id and number; the worker processes share nothing.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from openmoon.data.coaugment.backgrounds import KINDS, background
from openmoon.data.coaugment.cutout import Cutout, NoSubject, cut_out
from openmoon.data.coaugment.light import Light, draw_light, lit, shaded
from openmoon.data.coaugment.viewpoint import Viewpoint, draw_viewpoint, seen_from
from openmoon.data.images import ImageRejected, load_limited
from openmoon.io import atomic_path, content_hash, hash_number
from openmoon.runtime import cores

VERSION = 1  # raise it when the same parameters come to give other pixels
OTHERS = 3  # pictures in a scene
QUALITY = 92
SUFFIX = {"jpeg": ".jpg", "webp": ".webp"}
_BATCH = 8  # products a worker takes at once
_WORTH_A_WORKER = 100  # products; starting a process costs as much as about this many


@dataclass(frozen=True)
class Expansion:
    """One expanded picture, wholly described: kind of background and the seed of its details, viewpoint, light, and the names
    of the pictures that a scene is made from."""

    background: str
    background_seed: int
    viewpoint: Viewpoint
    light: Light
    others: tuple[str, ...] = ()

    def described(self) -> dict[str, Any]:
        """The parameters as JSON takes them."""
        described = asdict(self) | {"viewpoint": self.viewpoint._asdict(), "light": self.light._asdict()}
        return {name: value for name, value in described.items() if name != "others" or value}


def draw_expansions(product_id: str, count: int, seed: int, names: Sequence[str]) -> list[Expansion]:
    """`count` expansions for a product, backgrounds of different kinds first; scenes are made from pictures in `names`."""
    kinds = KINDS if len(names) >= OTHERS else KINDS[:-1]
    order = np.random.default_rng(hash_number(f"{seed}/kinds/{product_id}")).permutation(len(kinds))
    drawn = []
    for number in range(count):
        rng = np.random.default_rng(hash_number(f"{seed}/picture/{product_id}/{number}"))
        kind = kinds[order[number % len(kinds)]]
        chosen = rng.choice(len(names), OTHERS, replace=False) if kind == "scene" else ()
        others = tuple(names[i] for i in chosen)
        drawn.append(Expansion(kind, int(rng.integers(2**32)), draw_viewpoint(rng), draw_light(rng), others))
    return drawn


def expand(cutout: Cutout, expansion: Expansion, others: Sequence[npt.NDArray[np.uint8]] = ()) -> npt.NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 that `expansion` describes, at the size of the cut-out."""
    seen = seen_from(cutout, expansion.viewpoint)
    height, width = seen.cover.shape
    behind = background(expansion.background, height, width, np.random.default_rng(expansion.background_seed), others)
    scene = seen.light + (1 - seen.cover[..., None]) * shaded(behind, seen.cover, expansion.light)
    return lit(scene, expansion.light).round().astype(np.uint8)


@dataclass(frozen=True)
class Job:
    """Expand one product's picture into files below `folder`; `others` are paths by the names that expansions use."""

    picture: Path
    expansions: tuple[Expansion, ...]
    others: dict[str, Path]
    folder: Path
    kind: str = "jpeg"
    side: int = 1024

    def run(self) -> list[str] | str:
        """Names of the files below `folder`, or why the picture cannot be expanded."""
        try:
            cutout = cut_out(load_limited(self.picture, self.side))
            return [self._write(cutout, expansion) for expansion in self.expansions]
        except ImageRejected as error:
            return f"picture {error}"
        except NoSubject as error:
            return str(error)

    def _write(self, cutout: Cutout, expansion: Expansion) -> str:
        others = [load_limited(self.others[name], 256) for name in expansion.others]
        buffer = BytesIO()
        options = {"subsampling": 0} if self.kind == "jpeg" else {}  # colour at full resolution keeps print legible
        Image.fromarray(expand(cutout, expansion, others)).save(buffer, self.kind, quality=QUALITY, **options)
        data = buffer.getvalue()
        name = content_hash(data)
        path = Path(name[:2]) / (name + SUFFIX[self.kind])
        if not (self.folder / path).exists():
            with atomic_path(self.folder / path) as temporary:
                temporary.write_bytes(data)
        return path.as_posix()


def run_all(
    jobs: Sequence[Job], workers: int | None = None, advance: Callable[[int], object] = lambda done: None
) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the place in `jobs` and the outcome of `Job.run`, as they come, from `workers` processes (default: one a core)."""
    batches = [range(start, min(start + _BATCH, len(jobs))) for start in range(0, len(jobs), _BATCH)]
    workers = min(workers or cores(), 1 + len(jobs) // _WORTH_A_WORKER)
    if workers == 1:
        for batch in batches:
            for place in batch:
                outcome = jobs[place].run()
                advance(1)
                yield place, outcome
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        pending = {pool.submit(_run_batch, [jobs[place] for place in batch]): batch for batch in batches}
        for done in as_completed(pending):
            batch = pending[done]
            outcomes = done.result()
            advance(len(batch))
            yield from zip(batch, outcomes, strict=True)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_batch(jobs: Sequence[Job]) -> list[list[str] | str]:
    return [job.run() for job in jobs]
