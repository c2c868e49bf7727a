"""Stage 2: what shoppers searched for meets what they chose (MOON post-training, 2a)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from openmoon.data.blend import draw_partners
from openmoon.data.views import Parts
from openmoon.training.contrast import Batch, Contrast, codes_of
from openmoon.training.plan import Encoded, Objective, Plan, StepOutput

IDENTITIES = 4  # by which a pair's item may be another's false negative: SPU, query, query as shown, item as shown


@dataclass(frozen=True)
class PairTable:
    """Query→item pairs: `queries` (P rows of text and picture), `item` (P,) rows of the products they chose, `query` (P,) the
    identity of each query (equal for equal inputs), and `weight` (P,), how much each counts (None: all alike)."""

    queries: Parts
    item: np.ndarray
    query: np.ndarray
    weight: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.item)

    def weigh(self, losses: Tensor, rows: np.ndarray) -> Tensor:
        """The losses of the pairs in `rows`, (B,), each times its weight."""
        return losses if self.weight is None else losses * torch.from_numpy(self.weight[rows]).to(losses)


@dataclass(frozen=True)
class Mix:
    """Shares of the query and item views (MOON Table 2): `share[k]` of the pairs are `query[k]` → `item[k]`."""

    query: Sequence[str]
    item: Sequence[str]
    share: Sequence[float]

    def probabilities(self, pairs: PairTable, items: Parts) -> np.ndarray:
        """(P, K) chances of each combination per pair, zero where a view has nothing to show; a row of zeros is a pair
        that fits none."""
        possible = [
            pairs.queries.has(q, complete=True) & items.has(i)[pairs.item]
            for q, i in zip(self.query, self.item, strict=True)
        ]
        weight = np.stack(possible, 1) * np.asarray(self.share)
        return weight / np.maximum(weight.sum(1, keepdims=True), 1e-12)


def posttraining_objective(
    contrast: Contrast, pairs: PairTable, items: Parts, spus: np.ndarray, mix: Mix, blend: float = 0.0
) -> Objective:
    """The contrast of a batch of pairs, each shown under views drawn from `mix`. No negatives are the items of the same SPU or
    of the same query, and those whose query or item looks the same under the views drawn. A share `blend` of the queries
    that are pictures alone is blended with another, and looks for the items of both."""
    chances = mix.probabilities(pairs, items).cumsum(1)
    if (chances[:, -1] < 0.5).any():
        raise ValueError("some pairs fit no combination of the mix; drop them before training")

    def plan(rows: np.ndarray, rng: np.random.Generator, progress: float) -> Plan:
        kind = np.minimum((rng.random(len(rows))[:, None] > chances[rows]).sum(1), len(mix.share) - 1)
        chosen = pairs.item[rows]
        asked = pairs.queries.show([mix.query[k] for k in kind], rows)
        shown = items.show([mix.item[k] for k in kind], chosen)
        codes = codes_of(spus[chosen], pairs.query[rows], asked.identity(), shown.identity())
        batch = Batch(codes, torch.from_numpy(chosen))
        if blend:
            pictures = np.flatnonzero([mix.query[k] == "image" for k in kind])
            partner, share = draw_partners(pictures, blend, len(rows), rng)
            asked = asked.blended(partner, share)
            batch = replace(batch, second=torch.from_numpy(partner), share=torch.from_numpy(share))

        def loss(encoded: Sequence[Encoded]) -> StepOutput:
            queries, answers = (one.vectors for one in encoded)
            here = batch.to(queries.device)
            found = contrast(queries, answers, here, progress)
            contrast.remember(answers, here)
            value = pairs.weigh(found.losses, rows).mean()
            return StepOutput({contrast.loss: value}, answers, contrast.figures(found))

        return Plan([asked, shown], loss)

    return plan
