"""The search stage for long sequences: of up to thousands of behaviours the few that matter to a candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from openmoon.ctr.batches import Batch
from openmoon.ctr.blocks.tiers import tier_counts
from openmoon.ctr.content import Content
from openmoon.ctr.scene import Scene
from openmoon.ctr.vocabulary import KNOWN

CHUNK = 1 << 22  # numbers (rows × behaviours × width) in memory at once: 16 MiB
STRETCH = 1 << 19  # numbers of behaviours' vectors that are looked up at once: they stay in the processor's cache
FINE = 1 << 15  # scores are compared as multiples of 1/FINE: far coarser than rounding, far finer than what a score means


@dataclass(frozen=True)
class Found:
    """Behaviours chosen for each candidate, the best first: `places` (R, K, S) in the history, `mask` (R, K, S) where there is
    one, `score` (R, K, S). `tiers` (R, K, T) counts all behaviours by their cosine, where that was asked for."""

    places: torch.Tensor
    mask: torch.Tensor
    score: torch.Tensor
    tiers: torch.Tensor | None = None

    def take(self, column: torch.Tensor) -> torch.Tensor:
        """A column of the history (R, L) at the chosen places: (R, K, S)."""
        rows = column[:, None].expand(-1, self.places.shape[1], -1)
        return rows.gather(2, self.places)

    def embeddings(self, scene: Scene) -> torch.Tensor:
        """(R, K, S, 2 dim) id embeddings of the chosen behaviours."""
        batch = scene.batch
        return scene.at_behaviours(self.take(batch.history), self.take(batch.kind), self.take(batch.age))


@torch.no_grad()
def search(batch: Batch, score: Callable[[slice], torch.Tensor], width: int, count: int, tiers: int = 0) -> Found:
    """The `count` behaviours with the highest score for each candidate, of equal ones the latest.

    `score` gives (r, K, L) for a slice of the batch's rows; `width` is what it holds in memory per behaviour besides. Both decide
    how many rows are looked at together. A shopper who met one product often has many equal scores: rounded to `FINE`, what is
    found among them all but never depends on how sums were rounded in this batch.
    """
    mask = batch.history > 0
    rows, length = mask.shape
    held = width + 5 * batch.item.shape[1]  # scores, the same in float64, and as much again for topk and tiers
    step = max(1, CHUNK // max(1, length * held))
    age = torch.arange(length, dtype=torch.float64, device=mask.device) / max(1, length)  # below 1, the latest come first
    places, scores, counts = [], [], []
    for begin in range(0, rows, step):
        part = slice(begin, begin + step)
        found = score(part)
        found.masked_fill_(~mask[part, None], -torch.inf)
        best = found.to(torch.float64, copy=True).mul_(FINE).round_().sub_(age).topk(min(count, length), dim=-1).indices
        places.append(best)
        scores.append(found.gather(-1, best))
        if tiers:
            counts.append(tier_counts(found, mask[part], tiers))
    best_scores = torch.cat(scores)
    there = best_scores > -torch.inf
    return Found(torch.cat(places), there, best_scores.masked_fill(~there, 0), torch.cat(counts) if tiers else None)


def by_vectors(scene: Scene, count: int, tiers: int = 0) -> Found:
    """The behaviours whose frozen vectors are nearest to the candidate's; scores are cosines."""
    batch, content = scene.batch, scene.content
    return search(batch, lambda part: _cosines(content, batch, part), 0, count, tiers)


def by_ids(scene: Scene, count: int) -> Found:
    """The behaviours whose id embeddings have the largest inner product with the candidate's."""
    batch, embeddings = scene.batch, scene.embeddings

    def score(part: slice) -> torch.Tensor:
        return embeddings.behaviour(batch.item[part]) @ embeddings.behaviour(batch.history[part]).transpose(1, 2)

    return search(batch, score, 2 * embeddings.dim, count)


def by_hash(scene: Scene, planes: torch.Tensor, count: int) -> Found:
    """The behaviours that share most bits with the candidate under the signs of random projections, `planes` (2 dim, bits)."""
    batch, embeddings = scene.batch, scene.embeddings

    def score(part: slice) -> torch.Tensor:
        target, past = (torch.sign(embeddings.behaviour(rows[part]) @ planes) for rows in (batch.item, batch.history))
        return target @ past.transpose(1, 2)

    return search(batch, score, planes.shape[1], count)


def by_category(scene: Scene, count: int) -> Found:
    """The latest behaviours with products of the candidate's category; the score is 1 for these, and others are not found."""
    batch, numbers = scene.batch, scene.embeddings.numbers

    def score(part: slice) -> torch.Tensor:
        wanted, past = numbers[batch.item[part], 1], numbers[batch.history[part], 1]
        same = (wanted[:, :, None] == past[:, None]) & (past[:, None] >= KNOWN)
        recency = -torch.arange(past.shape[1], dtype=torch.float32, device=past.device)
        return torch.where(same, recency, -torch.inf)

    found = search(batch, score, 0, count)
    return Found(found.places, found.mask, found.mask.float())


def _cosines(content: Content, batch: Batch, part: slice) -> torch.Tensor:
    target, history = content(batch.item[part]), batch.history[part]
    span = max(1, STRETCH // max(1, len(history) * content.dim))
    return torch.cat([target @ content(some).transpose(1, 2) for some in history.split(span, 1)], -1)
