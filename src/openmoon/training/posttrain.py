"""Stage 2: what shoppers searched for meets what they chose (MOON post-training, 2a)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from openmoon.data.blend import draw_partners
from openmoon.data.lists import Lists, Others
from openmoon.data.views import Parts, Views
from openmoon.io import content_hash
from openmoon.training.contrast import Batch, Contrast, codes_of
from openmoon.training.known import Known
from openmoon.training.negatives import NOBODY, NONE, Extra, HardNegatives
from openmoon.training.plan import Encoded, Objective, Plan, StepOutput, first_of_each

PRODUCT = "rich+image"  # a query shown as a product: another one that was chosen for the same query
# by which a candidate may be a false negative: SPU, query as shown, item as shown, SPU of a product that asks
IDENTITIES = 4


@dataclass(frozen=True)
class PairTable:
    """Query→item pairs: `queries` (P rows of text and picture), `item` (P,) rows of the products they chose, `query` (P,) the
    identity of each query (equal for equal inputs), `others` the further products that were chosen for the query. No negatives
    of it are its `answers` when it is shown as text, image or text+image (what it shows of these; empty where none are spared),
    and its `mates`, chosen in the same visits (None: not spared). `weight` (P,) says how much each pair counts (None: all alike),
    `asker` (P,) which product a query was made of (None: shoppers asked)."""

    queries: Parts
    item: np.ndarray
    query: np.ndarray
    others: Others
    answers: Mapping[str, Lists]
    mates: Lists | None = None
    weight: np.ndarray | None = None
    asker: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.item)

    def weigh(self, losses: Tensor, rows: np.ndarray) -> Tensor:
        """The losses of the pairs in `rows`, (B,), each times its weight."""
        return losses if self.weight is None else losses * torch.from_numpy(self.weight[rows]).to(losses)

    def known(self, view: str) -> list[Lists]:
        """The lists of what is no negative of a query that is shown under `view`."""
        return [lists for lists in (self.answers.get(view), self.mates) if lists is not None]

    def fingerprint(self) -> str:
        """Identity of the pairs, which a run's checkpoint belongs to."""
        lists = (self.others.lists, *self.answers.values(), self.mates)
        parts = (self.item, self.query, self.others.own, self.weight, self.asker)
        content = [part for one in lists if one is not None for part in one.content()]
        return content_hash(*content, *(b"" if part is None else part.tobytes() for part in parts))

    def right(self, views: np.ndarray, rows: np.ndarray, spus: np.ndarray) -> Known:
        """What is known to be right for the queries of `rows` (B,) under `views` (B,); of a query shown as a product, whatever
        is for the query. `spus` is of all products."""
        parts = []
        for view in np.unique(views):
            here = np.flatnonzero(views == view)
            parts.append((here, Known.of(self.known("text+image" if view == PRODUCT else view), rows[here], spus)))
        return Known.merged(parts, len(rows))

    def asks(self, view: str) -> np.ndarray:
        """(P,) bool: pairs whose query can be shown under `view`."""
        return self.others.filled if view == PRODUCT else self.queries.has(view, complete=True)

    def ask(self, views: Sequence[str], rows: np.ndarray, items: Parts, rng: np.random.Generator) -> tuple[Views, np.ndarray]:
        """The queries of `rows` under `views`, and the products that stand for some of them (B,), -1 where none does."""
        standing = np.full(len(rows), -1) if self.asker is None else self.asker[rows]
        products = np.flatnonzero([view == PRODUCT for view in views])
        if not len(products):
            return self.queries.show(views, rows), standing
        standing[products] = self.others.draw(rows[products], rng)
        plain = self.queries.show(["text" if view == PRODUCT else view for view in views], rows)
        texts, images = list(plain.texts), list(plain.images)
        shown = items.show([PRODUCT] * len(products), standing[products])
        for place, text, image in zip(products.tolist(), shown.texts, shown.images, strict=True):
            texts[place], images[place] = text, image
        return Views(texts, images), standing


@dataclass(frozen=True)
class Mix:
    """Shares of the query and item views (MOON Table 2): `share[k]` of the pairs are `query[k]` → `item[k]`.

    Reconstructed: a query of richer text and picture is another product that was chosen for the same query.
    """

    query: Sequence[str]
    item: Sequence[str]
    share: Sequence[float]

    def probabilities(self, pairs: PairTable, items: Parts) -> np.ndarray:
        """(P, K) chances of each combination per pair, zero where a view has nothing to show; a row of zeros is a pair
        that fits none."""
        possible = [pairs.asks(q) & items.has(i)[pairs.item] for q, i in zip(self.query, self.item, strict=True)]
        weight = np.stack(possible, 1) * np.asarray(self.share)
        return weight / np.maximum(weight.sum(1, keepdims=True), 1e-12)


def posttraining_objective(
    contrast: Contrast, pairs: PairTable, items: Parts, spus: np.ndarray, mix: Mix, blend: float = 0.0,
    hard: HardNegatives = NONE,
) -> Objective:  # fmt: skip
    """The contrast of a batch of pairs, each shown under views drawn from `mix`. No negatives are the items of the same SPU,
    what the pair knows to be right, and those whose query or item looks the same under the views drawn. A share `blend` of the
    queries that are pictures alone is blended with another, and looks for the items of both. `hard` negatives are shown under the
    view of the item that they stand beside."""
    chances = mix.probabilities(pairs, items).cumsum(1)
    if (chances[:, -1] < 0.5).any():
        raise ValueError("some pairs fit no combination of the mix; drop them before training")
    shows = np.stack([items.has(view) for view in mix.item])

    def plan(rows: np.ndarray, rng: np.random.Generator, progress: float) -> Plan:
        kind = np.minimum((rng.random(len(rows))[:, None] > chances[rows]).sum(1), len(mix.share) - 1)
        chosen = pairs.item[rows]
        asked, standing = pairs.ask([mix.query[k] for k in kind], rows, items, rng)
        shown = items.draw([mix.item[k] for k in kind], chosen, rng)
        names = (spus[chosen], asked.identity(), shown.identity())
        batch = Batch(
            codes_of(*names, spus[chosen]), torch.from_numpy(chosen), pairs.right(np.array(mix.query)[kind], rows, spus),
            wanted=codes_of(*names, np.where(standing >= 0, spus[standing], NOBODY)),
        )  # fmt: skip
        if blend:
            pictures = np.flatnonzero([mix.query[k] == "image" for k in kind])
            partner, share = draw_partners(pictures, blend, len(rows), rng)
            asked = asked.blended(partner, share)
            batch = replace(batch, second=torch.from_numpy(partner), share=torch.from_numpy(share))
        views = [asked, shown]
        beside = hard.draw(rows, rng)
        beside = beside.take(shows[kind[beside.owner], beside.product])
        if len(beside.owner):
            views.append(items.draw([mix.item[k] for k in kind[beside.owner]], beside.product, rng))
            nobody = np.full(len(beside.owner), NOBODY)
            beside_spus = spus[beside.product]
            codes = codes_of(beside_spus, nobody, views[2].identity(), beside_spus)

        def weigh(losses: Tensor, some: np.ndarray) -> Tensor:
            return pairs.weigh(losses, rows[some])

        def loss(encoded: Sequence[Encoded]) -> StepOutput:
            queries, answers = encoded[0].vectors, encoded[1].vectors
            here = batch.to(queries.device)
            extra = Extra.of(encoded[2].vectors, codes) if len(beside.owner) else None
            found = contrast(queries, answers, here, progress, extra=extra)
            contrast.remember(answers, here)
            everyone = np.arange(len(rows))
            losses: dict[str, Tensor] = {contrast.loss: weigh(found.losses, everyone).mean()}
            if hard.triplet is not None and extra is not None:
                losses["triplet"] = hard.triplet(queries, everyone, answers, beside, extra, weigh)
            return StepOutput(losses, answers[first_of_each(names[2])], contrast.figures(found) | hard.figures(beside, len(rows)))

        return Plan(views, loss)

    return plan
