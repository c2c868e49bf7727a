"""Stage 2: what shoppers searched for meets what they chose (MOON post-training, 2a)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from openmoon.data.blend import draw_partners
from openmoon.data.views import Parts
from openmoon.losses import info_nce, matryoshka, same_identity
from openmoon.training.featurize import Featurizer
from openmoon.training.loop import Objective, StepOutput


@dataclass(frozen=True)
class PairTable:
    """Query→item pairs: `queries` (P rows of text and picture), `item` (P,) rows of the products they chose, and
    `query` (P,) the identity of each query (equal for equal inputs)."""

    queries: Parts
    item: np.ndarray
    query: np.ndarray

    def __len__(self) -> int:
        return len(self.item)


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
    featurize: Featurizer,
    temperature: Callable[[], Tensor],
    pairs: PairTable,
    items: Parts,
    spus: np.ndarray,
    mix: Mix,
    dims: Sequence[int],
    blend: float = 0.0,
) -> Objective:
    """InfoNCE of a batch of pairs, each shown under views drawn from `mix`; negatives are the other items of the batch,
    save those of the same SPU or of the same query, and those whose query or item looks the same under the views drawn.
    A share `blend` of the queries that are pictures alone is blended with another, and looks for the items of both."""
    chances = mix.probabilities(pairs, items).cumsum(1)
    if (chances[:, -1] < 0.5).any():
        raise ValueError("some pairs fit no combination of the mix; drop them before training")

    def step(batch: np.ndarray, rng: np.random.Generator) -> StepOutput:
        kind = np.minimum((rng.random(len(batch))[:, None] > chances[batch]).sum(1), len(mix.share) - 1)
        chosen = pairs.item[batch]
        asked = pairs.queries.show([mix.query[k] for k in kind], batch)
        shown = items.show([mix.item[k] for k in kind], chosen)
        identities = (spus[chosen], pairs.query[batch], asked.identity(), shown.identity())
        ignore = same_identity(*(torch.from_numpy(ids) for ids in identities))
        targets = None
        if blend:
            pictures = np.flatnonzero([mix.query[k] == "image" for k in kind])
            partner, share = draw_partners(pictures, blend, len(batch), rng)
            asked = asked.blended(partner, share)
            ignore, targets = ignore | ignore[partner], _targets(partner, share)
        queries, answers = featurize(asked, rng), featurize(shown, rng)
        loss = partial(info_nce, temperature=temperature(), ignore=ignore.to(queries.device),
                       targets=None if targets is None else targets.to(queries.device))  # fmt: skip
        return StepOutput({"info_nce": matryoshka(loss, queries, answers, dims)}, answers)

    return step


def _targets(partner: np.ndarray, share: np.ndarray) -> Tensor:
    """(B, B): row i finds its own item with `share[i]` and that of `partner[i]` with the rest."""
    own = torch.from_numpy(share).float()
    return torch.diag(own).scatter_add(1, torch.from_numpy(partner)[:, None], (1 - own)[:, None])
