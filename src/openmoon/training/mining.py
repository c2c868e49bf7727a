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
    of the item and those of the products in `known`, which are known to be right for the pair's query. Categories are numbers
    from 0.
    """
    order = np.argsort(category[products], kind="stable")  # those of one category side by side
    rivals, pairs = products[order], np.argsort(category[item], kind="stable")
    place = np.full(len(spus), -1)
    place[rivals] = np.arange(len(rivals))
    if (place[item] < 0).any():
        raise ValueError("the item of every pair must be among the products that are mined")
    table = np.full((len(query), depth), -1, np.int32)
    counts = np.zeros(4, np.int64)  # candidates, known to be right, too similar, taken
    vectors, asked = torch.from_numpy(items[order]), torch.from_numpy(np.ascontiguousarray(queries))
    right_for = [_known_rivals(lists, item, rivals, spus, category) for lists in known]
    names = np.unique(category[item])
    bounds = (np.searchsorted(of[by], names, side) for of, by in ((category, rivals), (category[item], pairs))
              for side in ("left", "right"))  # fmt: skip
    for first, last, start, end in zip(*bounds, strict=True):
        step = max(1, BLOCK // int(last - first))
        for some in (pairs[at : min(at + step, end)] for at in range(start, end, step)):
            scores = asked[query[some]] @ vectors[first:last].T
            own = (asked[query[some]] * vectors[place[item[some]]]).sum(1, keepdim=True)
            right = torch.from_numpy(_right(some, item, spus, right_for, rivals, slice(first, last)))
            close = (scores > own - margin) & ~right
            scores[right | close] = -torch.inf
            best = scores.topk(min(depth, int(last - first)), dim=1)
            rows = np.where(best.values.isfinite(), rivals[first:last][best.indices], -1)
            table[some, : rows.shape[1]] = rows
            counts += scores.numel(), int(right.sum()), int(close.sum()), int((rows >= 0).sum())
    total, right_too, close_by, taken = counts.tolist()
    return Mined(table, {
        "mining, candidates": total, "mining, known to be right or same SPU": right_too,
        "mining, within the margin": close_by, "mining, taken": taken,
        "mining, pairs without any": int((table[:, 0] < 0).sum()),
    })  # fmt: skip


def _known_rivals(known: Lists, item: np.ndarray, rivals: np.ndarray, spus: np.ndarray, category: np.ndarray) -> Lists:
    """For each pair the places among `rivals` of what is of its item's category and of the SPU of a product in its list: a list
    that the pairs of one list and category share, since a query may have many of both."""
    own = known.place(np.arange(len(item)))
    used = np.unique(own)
    products, owner = known.each.of(used)
    names, code = np.unique(spus[rivals], return_inverse=True)
    at, met = _found(names, spus[products])
    rival, edge = Lists.group(code, np.arange(len(rivals)), len(names)).of(at[met])
    width = int(category.max()) + 1
    distinct, which = np.unique(own * width + category[item], return_inverse=True)
    at, wanted = _found(distinct, used[owner[met]][edge] * width + category[rivals[rival]])
    return Lists.group(at[wanted], rival[wanted], len(distinct), which)


def _found(ascending: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of `values` a place in `ascending`, which is not empty, and whether it is there."""
    at = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return at, ascending[at] == values


def _right(
    some: np.ndarray, item: np.ndarray, spus: np.ndarray, known: Sequence[Lists], rivals: np.ndarray, here: slice
) -> np.ndarray:
    """(B, R) bool: of the rivals that are `here` those of the SPU of the pair's item, or known to be right for its query."""
    right = spus[item[some]][:, None] == spus[rivals[here]]
    for lists in known:
        distinct, which = np.unique(lists.place(some), return_inverse=True)
        found, owner = lists.each.of(distinct)
        answers = np.zeros((len(distinct), right.shape[1]), bool)
        answers[owner, found - here.start] = True
        right |= answers[which]
    return right


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
