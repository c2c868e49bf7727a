"""Hard negatives of the same category, mined by the encoder that is being trained and renewed as it learns (MOON 2b).

Reconstructed: the margin below the pair's own item, and that products without a rival of their category have none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from openmoon.data.lists import Lists, draw_places
from openmoon.training.distributed import ALONE, World

BLOCK = 2_000_000  # scores at once


@dataclass(frozen=True)
class Mined:
    """`table` (P, depth) int32: product rows, the hardest first, -1 where there are no more. `figures`: what became of the
    candidates."""

    table: np.ndarray
    figures: dict[str, float]


def mine(
    queries: np.ndarray, query: np.ndarray, items: np.ndarray, products: np.ndarray, item: np.ndarray, spus: np.ndarray,
    category: np.ndarray, known: Sequence[Lists], depth: int, margin: float,
) -> Mined:  # fmt: skip
    """The `depth` products of each pair's category that score highest for its query but at least `margin` below its own item.

    `queries` (Q, D) and `items` (N, D) are unit vectors, the items those of the product rows `products` (N,). Pair p asks
    `query[p]` for product row `item[p]`, one of `products`. `spus` and `category` are of all products. No negatives are the SPU
    of the item and those of the products in `known`, which are known to be right for the pair's query.
    """
    place = np.full(len(spus), -1)
    place[products] = np.arange(len(products))
    if (place[item] < 0).any():
        raise ValueError("the item of every pair must be among the products that are mined")
    table = np.full((len(query), depth), -1, np.int32)
    counts = np.zeros(4, np.int64)  # candidates, known to be right, too similar, taken
    vectors, asked = torch.from_numpy(np.ascontiguousarray(items)), torch.from_numpy(np.ascontiguousarray(queries))
    for name in np.unique(category[item]):
        rivals = np.flatnonzero(category[products] == name)
        pairs = np.flatnonzero(category[item] == name)
        step = max(1, BLOCK // len(rivals))
        for start in range(0, len(pairs), step):
            some = pairs[start : start + step]
            scores = asked[query[some]] @ vectors[rivals].T
            own = (asked[query[some]] * vectors[place[item[some]]]).sum(1, keepdim=True)
            right = torch.from_numpy(_right(some, item, spus, known, products[rivals]))
            close = (scores > own - margin) & ~right
            scores[right | close] = -torch.inf
            best = scores.topk(min(depth, len(rivals)), dim=1)
            rows = np.where(best.values.isfinite(), products[rivals][best.indices], -1)
            table[some, : rows.shape[1]] = rows
            counts += scores.numel(), int(right.sum()), int(close.sum()), int((rows >= 0).sum())
    total, right_too, close_by, taken = counts.tolist()
    return Mined(table, {
        "mining, candidates": total, "mining, known to be right or same SPU": right_too,
        "mining, within the margin": close_by, "mining, taken": taken,
        "mining, pairs without any": int((table[:, 0] < 0).sum()),
    })  # fmt: skip


def _right(
    some: np.ndarray, item: np.ndarray, spus: np.ndarray, known: Sequence[Lists], rivals: np.ndarray
) -> np.ndarray:
    """(B, R) bool: rivals of the SPU of the pair's item, or of one that is known to be right for its query."""
    answers = [lists.of(some) for lists in known]
    owner = np.concatenate([np.arange(len(some)), *(of for _, of in answers)])
    spu = np.concatenate([spus[item[some]], *(spus[others] for others, _ in answers)])
    codes, rival_code = np.unique(spus[rivals], return_inverse=True)
    at = np.searchsorted(codes, spu)
    found = (at < len(codes)) & (codes[np.minimum(at, len(codes) - 1)] == spu)
    wrong = np.zeros((len(some), len(codes)), bool)
    wrong[owner[found], at[found]] = True
    return wrong[:, rival_code]


class MinedNegatives(nn.Module):
    """The table of mined negatives of P pairs, part of a run's checkpoint, and when it is renewed.

    `count` of each pair's `depth` hardest are drawn for a step. `renew` gives the table; it is called before the first step
    and every `every` steps. Over several processes the leader mines and the others take its table: by their own rounding they
    might find another.
    """

    table: Tensor

    def __init__(self, pairs: int, depth: int, count: int, every: int, renew: Callable[[], Mined], world: World = ALONE) -> None:
        super().__init__()
        self.register_buffer("table", torch.full((pairs, depth), -1, dtype=torch.int32))
        self.count = count
        self.every = every
        self.world = world
        self._renew = renew

    def before_step(self, step: int) -> dict[str, float]:
        """Renew the table if it is time; the figures of the mining, for the leader's log."""
        if step % self.every:
            return {}
        figures: dict[str, float] = {}
        if self.world.leads:
            found = self._renew()
            self.table.copy_(torch.from_numpy(found.table))
            figures = found.figures
        self.world.agree([self.table])
        return figures

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(B, count) product rows for the pairs in `rows`; -1 where nothing was mined."""
        mined = self.table[torch.from_numpy(rows)].cpu().numpy()
        place = draw_places((mined >= 0).sum(1), self.count, rng)
        return np.take_along_axis(mined, place, 1).astype(np.int64)
