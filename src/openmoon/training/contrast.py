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
class Candidates:
    """What queries choose among: `vectors` (N, D), identities (K, N), and for the popularity correction `log_q` (N,)."""

    vectors: Tensor
    codes: Tensor
    log_q: Tensor | None

    def joined(self, more: Candidates) -> Candidates:
        """These and then `more`."""
        log_q = None if self.log_q is None or more.log_q is None else torch.cat([self.log_q, more.log_q])
        return Candidates(torch.cat([self.vectors, more.vectors]), torch.cat([self.codes, more.codes], 1), log_q)


@dataclass(frozen=True)
class Contrast:
    """`loss` over queries and items under every Matryoshka cut of `dims`.

    Negatives are the other items of the batch, hard ones that stand beside it and, with a `queue`, those of earlier steps;
    never, with `spare_inputs`, those that share an identity with the query's pair, nor those known to be right for it, nor, with
    a `margin`, those that score higher than the own item by more than it.
    `log_q` (products,) corrects InfoNCE for popularity. `gamma` and `circle_margin` are the circle loss's. With a `filter` the
    losses of pairs that look mislabelled are weighed down. Filter and margin judge a blended query by the picture that it shows
    more of.
    """

    temperature: Callable[[], Tensor]
    dims: tuple[int, ...]
    loss: LossName = "info_nce"
    margin: float | None = None
    log_q: Tensor | None = None
    spare_inputs: bool = True
    queue: ItemQueue | None = None
    queue_still: bool = True
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

        With a queue and `queue_still` the loss is the mean of two: without it, and with it but without gradient to the items.
        Were only the queue without gradient, items would be drawn to their queries and hardly pushed apart, and the whole space
        would drift from what it was [ours]. Otherwise all are met at once, and what is in the queue alone has no gradient.
        """
        among = torch.arange(len(queries), device=queries.device) if among is None else among
        log_q = None if self.log_q is None or self.loss != "info_nce" else self.log_q.to(answers)
        frequency = None if log_q is None else log_q[batch.products]
        candidates = Candidates(answers, batch.codes, frequency)
        if extra is not None:  # not met for being popular: neither favoured nor spared
            mean = None if frequency is None else frequency.mean().expand(len(extra.vectors))
            candidates = candidates.joined(Candidates(extra.vectors, extra.codes, mean))
        if self.queue is None or not self.queue.filled:
            return self._against(candidates, queries, batch, among, progress)
        vectors, codes, products = self.queue.items(answers)
        old = Candidates(vectors, codes, None if log_q is None else log_q[products])
        if not self.queue_still:
            return self._against(candidates.joined(old), queries, batch, among, progress)
        found = self._against(candidates, queries, batch, among, progress)
        still = replace(candidates, vectors=candidates.vectors.detach())
        wider = self._against(still.joined(old), queries, batch, among, progress)
        return Compared((found.losses + wider.losses) / 2, wider.confidence)

    def _against(
        self, candidates: Candidates, queries: Tensor, batch: Batch, among: Tensor, progress: float
    ) -> Compared:
        items, codes = candidates.vectors, candidates.codes
        wanted = batch.codes if batch.wanted is None else batch.wanted
        loss = self._loss()

        def right_for(rows: Tensor) -> Tensor:
            same = same_identity(wanted[:, rows], codes) if self.spare_inputs else rows.new_zeros(len(rows), len(items)).bool()
            return same if batch.known is None else same | batch.known.among(rows, codes[0])

        def of(rows: Tensor) -> Tensor:
            own = among[rows]
            judged, ignore = own, right_for(own)
            options: dict[str, Tensor | None] = {} if candidates.log_q is None else {"log_q": candidates.log_q}
            if batch.second is not None and batch.share is not None:
                second, share = batch.second[own], batch.share[own].to(items)
                ignore = (ignore | right_for(second)).scatter(1, torch.stack([own, second], 1), True)
                judged = torch.where(share < 0.5, second, own)
                options |= {"second": second, "share": share}
            confidence = queries.new_ones(len(rows))
            if self.margin is not None or self.filter is not None:
                scores = (queries[rows] @ items.T).detach()
                if self.filter is not None:
                    confidence = self.filter.confidence(scores, judged, ignore, progress)
                if self.margin is not None:
                    ignore = ignore | too_similar(scores, judged, self.margin)
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
