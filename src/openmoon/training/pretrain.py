"""Stage 1: a product's picture and text meet, and a view of the picture meets another view or the whole product.

Reconstructed: the papers pretrain a generative model on catalogue questions; a compact encoder instead aligns picture and
text inside a product, with the self-supervision of "Visual Encoding and Debiasing for CTR Prediction", step 1. Half of the
second views bring the product's text along, so that text and picture together stay close to the picture alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from openmoon.data.views import Parts
from openmoon.losses import info_nce, matryoshka, same_identity, symmetric_info_nce
from openmoon.training.plan import Encoded, Objective, Plan, StepOutput

COUNTERPARTS = ("image", "title+image", "rich+image")  # what a view of a picture should find: another view, the product
COUNTERPART_SHARES = (0.5, 0.25, 0.25)


def pretraining_objective(
    temperature: Callable[[], Tensor],
    items: Parts,
    spus: np.ndarray,
    rows: np.ndarray,
    dims: Sequence[int],
    image_text: float,
    self_supervision: float,
) -> Objective:
    """Losses of a batch of products.

    `items` are all products, `spus` (N,) int64 their SPUs, `rows` the products of the training split (an element of a
    batch indexes `rows`). `image_text` and `self_supervision` weigh the two losses; a product without picture or without
    text takes no part in what it lacks.
    """
    has_image, has_text = items.has("image"), items.has("rich")

    def plan(batch: np.ndarray, rng: np.random.Generator, progress: float) -> Plan:
        products = rows[batch]
        both = products[has_image[products] & has_text[products]]
        pictured = products[has_image[products]]
        views = [items.show(["image"] * len(pictured), pictured)]
        align = bool(image_text) and len(both) > 1
        supervise = bool(self_supervision) and len(pictured) > 1
        if align:
            kinds = np.where(items.has("title")[both], rng.choice(["title", "rich"], len(both)), "rich")
            views.append(items.show(list(kinds), both))
        if supervise:
            shown = rng.choice(COUNTERPARTS, len(pictured), p=COUNTERPART_SHARES)
            views.append(items.show(list(shown), pictured))

        def loss(encoded: Sequence[Encoded]) -> StepOutput:
            first, *others = (one.vectors for one in encoded)
            losses: dict[str, Tensor] = {}
            if align:
                matched = torch.from_numpy(np.flatnonzero(has_text[pictured])).to(first.device)
                found = partial(symmetric_info_nce, temperature=temperature(), ignore=_same(spus[both], first))
                losses["image_text"] = image_text * matryoshka(found, [first[matched], others[0]], dims).mean()
            if supervise:
                found = partial(info_nce, temperature=temperature(), ignore=_same(spus[pictured], first))
                losses["self_supervision"] = self_supervision * matryoshka(found, [first, others[-1]], dims).mean()
            return StepOutput(losses, first)

        return Plan(views, loss)

    return plan


def _same(spus: np.ndarray, beside: Tensor) -> Tensor:
    codes = torch.from_numpy(spus)[None].to(beside.device)
    return same_identity(codes, codes)
