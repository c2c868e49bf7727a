"""Against exposure bias: the debiasing network on vectors (2205.04168, step 3), and inverse propensity weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openmoon.config.ctr import CtrDebiasConfig
from openmoon.ctr.content import Content, VectorRows
from openmoon.ctr.log import CtrLog
from openmoon.ctr.vocabulary import KNOWN

_HARD = 8  # the nearest tail products among which partners are drawn


class AdjustedContent(Content):
    """Content whose vectors are v′ = v + g(v), of unit length; g starts at zero, so that v′ starts as v [R]."""

    def __init__(self, rows: VectorRows) -> None:
        super().__init__(rows)
        last = nn.Linear(self.dim // 4, self.dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.adjust = nn.Sequential(nn.Linear(self.dim, self.dim // 4), nn.ReLU(), last)

    def forward(self, rows: Tensor) -> Tensor:
        """(...,) rows → (..., dim). Each distinct row is adjusted once."""
        distinct, places = torch.unique(rows, return_inverse=True)
        plain = super().forward(distinct)
        adjusted = F.normalize(plain + self.adjust(plain), dim=-1) * (distinct > 0)[:, None]
        return F.embedding(places, adjusted)


class HeadAndTail:
    """The debiasing network's loss: an often shown product is drawn to a rarely shown one of its category that looks alike, and
    away from rarely shown ones of other categories [R].

    Head and tail are shares of the products by training impressions. Partners are the nearest under the present v′, drawn among
    the `_HARD` nearest and chosen again at every pass; they are the state that a resumed training needs.
    """

    def __init__(self, content: Content, log: CtrLog, config: CtrDebiasConfig, steps: int, seed: int) -> None:
        self.content, self.config, self.steps, self.seed = content, config, steps, seed
        shown = log.shown("train")
        category = log.vocabulary.of_entities(log.entities)["category"]
        products = log.catalogue
        order = products[np.argsort(-shown[products], kind="stable")]
        head = order[: round(config.head * len(order))]
        self.tail = order[len(order) - round(config.tail * len(order)) :]
        self.category = category
        self.head = head[np.isin(category[head], category[self.tail])]
        self.state = {"partners": torch.zeros(0, 0, dtype=torch.int64), "pass": torch.tensor(-1)}

    def __call__(self, step: int) -> tuple[str, Tensor] | None:
        """The loss of a step, times α; None where no head product has a partner."""
        if not len(self.head):
            return None
        if step // self.steps != self.state["pass"]:
            self.state = {"partners": torch.from_numpy(self._nearest()), "pass": torch.tensor(step // self.steps)}
        random = np.random.default_rng((self.seed, step))
        chosen = random.choice(len(self.head), min(self.config.per_step, len(self.head)), replace=False)
        partners = self.state["partners"].numpy()
        partner = partners[chosen, random.integers(0, partners.shape[1], len(chosen))]
        head, tail = (self.content(torch.from_numpy(rows)) for rows in (self.head[chosen], partner))
        logits = head @ tail.T / self.config.temperature
        kind = torch.from_numpy(self.category[self.head[chosen]])
        same = (kind[:, None] == kind) & (kind >= KNOWN) & ~torch.eye(len(kind), dtype=torch.bool)
        loss = F.cross_entropy(logits.masked_fill(same, -torch.inf), torch.arange(len(kind)))
        return "debias", self.config.alpha * loss

    @torch.no_grad()
    def _nearest(self) -> np.ndarray:
        """(head, n) the nearest tail products of each head product's category; fewer than `_HARD` are repeated."""
        head, tail = (self.content(torch.from_numpy(rows)).numpy() for rows in (self.head, self.tail))
        partners = np.zeros((len(self.head), _HARD), np.int64)
        for kind in np.unique(self.category[self.head]):
            own, others = (
                np.flatnonzero(self.category[self.head] == kind),
                np.flatnonzero(self.category[self.tail] == kind),
            )
            nearest = np.argsort(-head[own] @ tail[others].T, axis=1)[:, :_HARD]
            partners[own] = np.resize(self.tail[others][nearest].T, (_HARD, len(own))).T
        return partners


def exposure_weights(log: CtrLog, most: float) -> np.ndarray:
    """(N,) float32 inverse propensity weights of the training candidates, at most `most` and 1 on average; 0 for others.

    Propensities are the log's; where it has none, a product's training impressions stand for them [R].
    """
    shown, weights, total, count = log.shown("train"), np.zeros(len(log.item), np.float32), 0.0, 0
    popular = max(shown.max(), 1)
    for some in log.blocks("train"):
        propensity = log.propensity[some]
        instead = np.maximum(shown[log.item[some]], 1) / popular
        weights[some] = np.minimum(1 / np.where(np.isnan(propensity), instead, propensity), most)
        total, count = total + weights[some].sum(dtype=np.float64), count + len(some)
    return weights * np.float32(count / total) if count else weights
