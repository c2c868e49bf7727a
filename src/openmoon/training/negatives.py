"""Hard negatives: products that a step shows beside those of its pairs, because telling them apart is what is hard.

They come from the log (clicked and left; shown and passed by: the class-aware pool of "Visual Encoding and Debiasing for CTR
Prediction", step 2) or from the encoder itself (`mining.py`). They are encoded afresh in the step, where the papers keep a
queue of older vectors [reconstructed].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from openmoon.data.lists import Lists, draw_places
from openmoon.io import content_hash
from openmoon.losses import matryoshka, triplet

LEFT = "clicked and left"
NOBODY = -1  # a code that no pair has
Weigh = Callable[[Tensor, np.ndarray], Tensor]  # losses (n,) of the pairs at some places of the batch, each times its weight


class Source(Protocol):
    """Where hard negatives come from."""

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(B, n) product rows for the pairs in `rows` (B,); -1 where there is none."""


@dataclass(frozen=True)
class FromLog:
    """`count` of the products that the log has beside each pair, less those of an SPU (`spus`, of all products) in its list of
    `mates`, which the triplet loss does not ask about."""

    beside: Lists
    count: int
    mates: Lists | None = None
    spus: np.ndarray | None = None

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        drawn = self.beside.draw(rows, self.count, rng)
        if self.mates is None or self.spus is None:
            return drawn
        return np.where(self.mates.hold(rows, drawn, self.spus), -1, drawn)


@dataclass(frozen=True)
class ClassPool:
    """`count` products for each pair: with probability `same` one of the item's own category that was shown for the query and
    not clicked (`passed`; none where nothing was), else any of `products` (N,) of another category. `category` (all products,)
    and `item` (P,)."""

    passed: Lists
    products: np.ndarray
    category: np.ndarray
    item: np.ndarray
    same: float
    count: int

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        inside = self.passed.draw(rows, self.count, rng)
        return np.where(rng.random(inside.shape) < self.same, inside, self._outside(rows, rng))

    def _outside(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        by_category, categories = self._by_category
        own = self.category[self.item[rows]][:, None]
        first, after = (np.searchsorted(categories, own, side) for side in ("left", "right"))
        others = len(categories) - (after - first)
        place = draw_places(others[:, 0], self.count, rng)
        place += np.where(place >= first, after - first, 0)
        return np.where(others > 0, by_category[np.minimum(place, len(by_category) - 1)], -1)

    @cached_property
    def _by_category(self) -> tuple[np.ndarray, np.ndarray]:
        """The products in the order of their categories, and these."""
        order = np.argsort(self.category[self.products], kind="stable")
        return self.products[order], self.category[self.products][order]


@dataclass(frozen=True)
class Beside:
    """Hard negatives of a batch: for each the pair that it stands beside (a place in the batch), its product row, and whether
    it was clicked and left; all (E,)."""

    owner: np.ndarray
    product: np.ndarray
    left: np.ndarray

    def take(self, some: np.ndarray) -> Beside:
        """Those where `some` (E,) is true."""
        return Beside(self.owner[some], self.product[some], self.left[some])


@dataclass(frozen=True)
class Extra:
    """Hard negatives as the contrast meets them: vectors (E, D) and identities (K, E)."""

    vectors: Tensor
    codes: Tensor

    @classmethod
    def of(cls, vectors: Tensor, codes: Tensor) -> Extra:
        """On the device of the vectors."""
        return cls(vectors, codes.to(vectors.device))


@dataclass(frozen=True)
class LeftBehind:
    """The triplet loss of what was chosen against what was clicked and left for the same query, under every Matryoshka cut of
    `dims`, times `weight`."""

    margin: float
    weight: float
    dims: tuple[int, ...]

    def __call__(
        self, queries: Tensor, among: np.ndarray, answers: Tensor, beside: Beside, extra: Extra, weigh: Weigh
    ) -> Tensor:
        """The mean over the triplets of the queries of the pairs in `among` (Q,), ascending; `answers` (B, D) are the items of
        all pairs, and `weigh` says how much a pair counts. 0 where no query has a triplet."""
        place = np.minimum(np.searchsorted(among, beside.owner), len(among) - 1)
        which = np.flatnonzero(beside.left & (among[place] == beside.owner))
        query, own, left = (torch.from_numpy(rows).to(queries.device) for rows in (place[which], beside.owner[which], which))
        found = matryoshka(partial(triplet, margin=self.margin), [queries[query], answers[own], extra.vectors[left]], self.dims)
        return self.weight * weigh(found, beside.owner[which]).sum() / max(len(which), 1)


@dataclass(frozen=True)
class HardNegatives:
    """All sources by name, and the triplet loss on what was clicked and left."""

    sources: Mapping[str, Source]
    triplet: LeftBehind | None = None

    def fingerprint(self) -> str:
        """Identity of what the log has beside the pairs; what is mined follows from the training."""
        lists = [source.beside if isinstance(source, FromLog) else source.passed for source in self.sources.values()
                 if isinstance(source, FromLog | ClassPool)]  # fmt: skip
        return content_hash(*(part for one in lists for part in one.content()))

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> Beside:
        """What stands beside the pairs in `rows`."""
        owner, product, left = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, bool)]
        for name, source in self.sources.items():
            drawn = source.draw(rows, rng)
            row, column = np.nonzero(drawn >= 0)
            owner.append(row)
            product.append(drawn[row, column])
            left.append(np.full(len(row), name == LEFT))
        return Beside(np.concatenate(owner), np.concatenate(product), np.concatenate(left))

    def figures(self, beside: Beside, pairs: int) -> dict[str, float]:
        """For the log: how many a pair of the step has."""
        return {"hard negatives per pair": len(beside.owner) / pairs} if self.sources else {}


NONE = HardNegatives({})
