"""Dual-level alignment (MOON2.0): queries meet products, and a product's picture and text meet, in five objectives at once.

Each counts by the experts that its inputs were routed to (`losses/dual_alignment.py`). An objective whose modality a pair
lacks leaves the pair out; it is never fed zeros. Reconstructed: a product meets photos without words with all that it has in half
of the pairs, else with title and picture or with the picture alone; other queries always with all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from openmoon.data.views import ASKED, Parts, Views, identities
from openmoon.errors import UserError
from openmoon.losses.dual_alignment import (
    AlignmentMatrix,
    objective_weights,
    sparsity,
    weight_balance,
)
from openmoon.models.experts import GATE
from openmoon.training.contrast import Batch, Contrast, codes_of
from openmoon.training.known import Known
from openmoon.training.negatives import NOBODY, NONE, Extra, HardNegatives, Weigh
from openmoon.training.plan import Encoded, Objective, Plan, StepOutput, first_of_each
from openmoon.training.posttrain import PairTable

WHOLE = "rich+image"  # a product with all that it has
# how a product meets a photo without words: at times with less than all, so that it is also found by its picture alone
PRODUCT_VIEWS = (WHOLE, "title+image", "image")
OBJECTIVES = ("text → product", "image → product", "text+image → product", "picture → text", "text → picture")

# by which a pair's item may be another's false negative: SPU, product as shown, the query's words, its photo
IDENTITIES = 4


@dataclass(frozen=True)
class Alignment:
    """How often a photo without words meets `less` than a whole product; weight of the two objectives within a product, and of
    the terms beside the five. `naive` lets the gradient of a weighted loss reach the weight."""

    less: float = 0.5
    within: float = 0.3
    weight_balance: float = 0.1
    sparsity: float = 0.01
    naive: bool = False


@dataclass(frozen=True)
class _Meeting:
    """An objective of a step: its number, the views of both sides (places in the plan), the identities of the items, and for
    queries the rows of the batch that have one; they meet the whole products of all pairs."""

    objective: int
    query: int
    item: int
    batch: Batch
    among: np.ndarray | None = None


def dual_alignment_objective(
    contrast: Contrast,
    pairs: PairTable,
    items: Parts,
    spus: np.ndarray,
    matrix: AlignmentMatrix | None,
    terms: Alignment,
    hard: HardNegatives = NONE,
) -> Objective:
    """The five objectives for a batch of pairs; without `matrix` every ω is 1, whatever the routing.

    `contrast` compares; its queue and `hard` negatives are products and serve the three objectives of queries.
    Raises `UserError` at a step whose pairs meet in no objective.
    """
    has_both, wordless = items.has(WHOLE, complete=True), ~pairs.queries.has("text")
    shares = (1 - terms.less, 0.6 * terms.less, 0.4 * terms.less)
    words, photos = identities(pairs.queries.texts["text"]), identities(pairs.queries.images)
    asks = {view: pairs.queries.has(view, complete=True) for view in ASKED}
    titled = items.has("title")

    def products_shown(products: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> Views:
        drawn = rng.choice(PRODUCT_VIEWS, len(products), p=shares)
        return items.draw(list(np.where(has_both[products] & wordless[rows], drawn, WHOLE)), products, rng)

    def plan(rows: np.ndarray, rng: np.random.Generator, progress: float) -> Plan:
        chosen = pairs.item[rows]
        views = [products_shown(chosen, rows, rng)]
        products = torch.from_numpy(chosen)
        names = (spus[chosen], views[0].identity(), words[rows], photos[rows])
        batch = Batch(codes_of(*names), products)
        meetings: list[_Meeting] = []
        for objective, (view, can) in enumerate(asks.items()):
            have = np.flatnonzero(can[rows])
            if len(have) > 1:
                known = Known.of(pairs.known(view), rows, spus)
                meetings.append(_Meeting(objective, len(views), 0, replace(batch, known=known), have))
                views.append(pairs.queries.show([view] * len(have), rows[have]))
        both = np.flatnonzero(has_both[chosen])
        if len(both) > 1:
            kinds = np.where(titled[chosen[both]], rng.choice(["title", "rich"], len(both)), "rich")
            pictures = items.draw(["image"] * len(both), chosen[both], rng)
            texts = items.draw(list(kinds), chosen[both], rng)
            within = Batch(codes_of(spus[chosen[both]], pictures.identity(), texts.identity()), products[both])
            place = len(views)
            meetings += [_Meeting(3, place, place + 1, within), _Meeting(4, place + 1, place, within)]
            views += [pictures, texts]
        beside = hard.draw(rows, rng)
        if len(beside.owner):
            views.append(products_shown(beside.product, rows[beside.owner], rng))
            nobody = np.full(len(beside.owner), NOBODY)
            codes = codes_of(spus[beside.product], views[-1].identity(), nobody, nobody)
        if not meetings:
            raise UserError(f"posttrain: a batch of {len(rows)} pairs holds nothing that the five objectives compare (two "
                            "queries of a kind, or two products with text and picture); raise posttrain.batch_size.")  # fmt: skip

        def weigh(losses: Tensor, some: np.ndarray) -> Tensor:
            return pairs.weigh(losses, rows[some])

        def loss(encoded: Sequence[Encoded]) -> StepOutput:
            whole, extra = encoded[0].vectors, Extra.of(encoded[-1].vectors, codes) if len(beside.owner) else None
            output = _loss(contrast, meetings, encoded, matrix, terms, progress, weigh, extra)
            if hard.triplet is not None and extra is not None:
                found = [hard.triplet(encoded[m.query].vectors, m.among, whole, beside, extra, weigh)
                         for m in meetings if m.among is not None and np.isin(beside.owner[beside.left], m.among).any()]
                output.losses["triplet"] = torch.stack(found).mean() if found else whole.sum() * 0
            contrast.remember(whole, batch.to(whole.device))
            return StepOutput(output.losses, whole[first_of_each(names[1])], output.figures | hard.figures(beside, len(rows)))

        return Plan(views, loss)

    return plan


def _loss(
    contrast: Contrast, meetings: list[_Meeting], encoded: Sequence[Encoded], matrix: AlignmentMatrix | None,
    terms: Alignment, progress: float, weigh: Weigh, extra: Extra | None,
) -> StepOutput:  # fmt: skip
    inside = contrast.within_products()
    figures: dict[str, float] = {}
    whole = encoded[0].vectors
    found: dict[int, Tensor] = {}
    for meeting in meetings:
        queries, items = encoded[meeting.query].vectors, encoded[meeting.item].vectors
        batch = meeting.batch.to(queries.device)
        if meeting.among is None:
            found[meeting.objective] = inside(queries, items, batch).losses.mean()
            continue
        compared = contrast(queries, items, batch, progress, torch.from_numpy(meeting.among).to(queries.device), extra)
        found[meeting.objective] = weigh(compared.losses, meeting.among).mean()
        figures |= {f"{name}, {OBJECTIVES[meeting.objective]}": v for name, v in contrast.figures(compared).items()}
    weights = whole.new_ones(len(OBJECTIVES))
    losses: dict[str, Tensor] = {}
    if matrix is not None:
        served = matrix()
        weights = objective_weights(_usage(meetings, encoded), served)
        present = torch.zeros(len(OBJECTIVES), dtype=torch.bool, device=weights.device)
        present[list(found)] = True
        losses |= {
            "weight balance": terms.weight_balance * weight_balance(weights, present),
            "sparsity": terms.sparsity * sparsity(served),
        }
        if not terms.naive:
            weights = weights.detach()
    share = [1.0, 1.0, 1.0, terms.within, terms.within]
    losses |= {OBJECTIVES[m]: share[m] * weights[m] * value for m, value in found.items()}
    return StepOutput(losses, whole, figures | {f"weight, {OBJECTIVES[m]}": float(weights[m].detach()) for m in found})


def _usage(meetings: list[_Meeting], encoded: Sequence[Encoded]) -> Tensor:
    """(M, Z): the mean gate of what meets in each objective, both sides, all inputs and all layers alike."""
    first = encoded[0].routing
    if first is None:
        raise ValueError("an alignment matrix needs an encoder with experts")
    rows = [first.new_zeros(first.shape[-1])] * len(OBJECTIVES)
    for meeting in meetings:
        sides = [encoded[place].routing for place in (meeting.query, meeting.item)]
        means = [side[:, GATE].mean((0, 1)) for side in sides if side is not None]
        rows[meeting.objective] = torch.stack(means).mean(0)
    return torch.stack(rows)


