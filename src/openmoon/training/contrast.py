"""How a batch of queries is compared with its items: the loss, its negatives, and the guards against false ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from openmoon.losses import circle, in_blocks, info_nce, matryoshka, same_identity, sigmoid, too_similar
from openmoon.training.filtering import SampleFilter
from openmoon.training.known import Known
from openmoon.training.negatives import Extra
from openmoon.training.queue import ItemQueue

LossName = Literal["info_nce", "circle", "sigmoid"]


@dataclass(frozen=True)
class Batch:
    """Identities (K, B) int64, the first of them SPUs, and product rows (B,) int64 of B pairs' items. Candidates that share an
    identity with what a query wants are none of its negatives, nor is what is `known` to be right for it; `wanted` (K, B) are the
    identities on the side of the queries, where they differ. For blended queries the row whose item they also want, `second`
    (B,), and the share of their own, `share` (B,)."""

    codes: Tensor
    products: Tensor
    known: Known | None = None
    wanted: Tensor | None = None
    second: Tensor | None = None
    share: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        moved = (None if part is None else part.to(device) for part in (self.known, self.wanted, self.second, self.share))
        return Batch(self.codes.to(device), self.products.to(device), *moved)  # type: ignore[arg-type]


class Compared(NamedTuple):
    """The loss of every query, and with a filter how far its pair is trusted, φ in 0..1; both (Q,)."""

    losses: Tensor
    confidence: Tensor | None


@dataclass(frozen=True)
class Contrast:
    """`loss` over queries and items under every Matryoshka cut of `dims`.

    Negatives are the other items of the batch, hard ones that stand beside it and, with a `queue`, those of earlier steps;
    never those that share an identity with the query's pair or are known to be right for it, nor, with a `margin`, those that
    score higher than the own item by more than it.
    `log_q` (products,) corrects InfoNCE for popularity. `gamma` and `circle_margin` are the circle loss's. With a `filter` the
    losses of pairs that look mislabelled are weighed down.
    """

    temperature: Callable[[], Tensor]
    dims: tuple[int, ...]
    loss: LossName = "info_nce"
    margin: float | None = None
    log_q: Tensor | None = None
    queue: ItemQueue | None = None
    gamma: float = 32.0
    circle_margin: float = 0.25
    filter: SampleFilter | None = None

    def __call__(
        self, queries: Tensor, answers: Tensor, batch: Batch, progress: float = 0.0, among: Tensor | None = None,
        extra: Extra | None = None,
    ) -> Compared:  # fmt: skip
        """Compare queries with `answers` (B, D), the items of the batch's pairs.

        `queries` are (B, D), or (Q, D) those of the pairs in `among` (Q,) int64; all B items are candidates for each, and
        so are `extra` ones. `progress` is the share of the training that is done.
        """
        among = torch.arange(len(queries), device=queries.device) if among is None else among
        wanted = batch.codes if batch.wanted is None else batch.wanted
        candidates = [(answers, batch.codes, batch.products)]
        if extra is not None:
            candidates.append((extra.vectors, extra.codes, extra.products))
        if self.queue is not None:
            old, old_codes, old_products = self.queue.items()
            candidates.append((old.to(answers), old_codes, old_products))
        items, products = (torch.cat([each[k] for each in candidates]) for k in (0, 2))
        codes = torch.cat([each[1] for each in candidates], 1)
        loss, log_q = self._loss(), None
        if self.log_q is not None and self.loss == "info_nce":
            log_q = self.log_q.to(items)[products]
            if extra is not None:  # not met for being popular: neither favoured nor spared
                log_q[len(answers) : len(answers) + len(extra.products)] = log_q[: len(answers)].mean()

        def right_for(rows: Tensor) -> Tensor:
            same = same_identity(wanted[:, rows], codes)
            return same if batch.known is None else same | batch.known.among(rows, codes[0])

        def of(rows: Tensor) -> Tensor:
            own = among[rows]
            ignore = right_for(own)
            options: dict[str, Tensor | None] = {"log_q": log_q} if log_q is not None else {}
            if batch.second is not None and batch.share is not None:
                second = batch.second[own]
                ignore = ignore | right_for(second)
                options |= {"second": second, "share": batch.share[own].to(items)}
            confidence = queries.new_ones(len(rows))
            if self.margin is not None or self.filter is not None:
                scores = (queries[rows] @ items.T).detach()
                if self.filter is not None:
                    confidence = self.filter.confidence(scores, own, ignore, progress)
                if self.margin is not None:
                    ignore = ignore | too_similar(scores, own, self.margin)
            found = partial(loss, positive=own, ignore=ignore, **options)
            return torch.stack([matryoshka(found, [queries[rows], items], self.dims), confidence], 1)

        losses, confidence = in_blocks(of, len(queries), len(items), queries.device).unbind(1)
        if self.filter is None:
            return Compared(losses, None)
        confidence = confidence.detach()
        return Compared(losses * self.filter.weights(confidence), confidence)

    def figures(self, found: Compared) -> dict[str, float]:
        """For the log: with a filter, the share of pairs that count fully."""
        if self.filter is None or found.confidence is None:
            return {}
        return {"kept": float((found.confidence >= self.filter.delta).float().mean())}

    def within_products(self) -> Contrast:
        """The same for a product's own picture and text, which are in no queue and carry no label that could be wrong."""
        return replace(self, queue=None, log_q=None, filter=None)

    def remember(self, answers: Tensor, batch: Batch) -> None:
        """Put the batch's items into the queue, if there is one; after the loss, so that no item meets itself."""
        if self.queue is not None:
            self.queue.push(answers.detach(), batch.codes, batch.products)

    def _loss(self) -> Callable[..., Tensor]:
        if self.loss == "circle":
            return partial(circle, gamma=self.gamma, margin=self.circle_margin)
        return partial(info_nce if self.loss == "info_nce" else sigmoid, temperature=self.temperature())


def codes_of(*identities: np.ndarray) -> Tensor:
    """(K, B) int64 from K identities, each (B,)."""
    return torch.from_numpy(np.stack(identities).astype(np.int64))
