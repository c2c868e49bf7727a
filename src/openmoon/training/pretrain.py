"""Stage 1: a product's picture and text meet, and a view of the picture meets another view or the whole product.

Reconstructed: the papers pretrain a generative model on catalogue questions; a compact encoder instead aligns picture and
text inside a product, with the self-supervision of "Visual Encoding and Debiasing for CTR Prediction", step 1. Half of the
second views (`with_text`) bring the product's text along, so that text and picture together stay close to the picture alone;
the text meets these too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from openmoon.data.views import Parts
from openmoon.training.contrast import codes_of
from openmoon.training.plan import Encoded, Objective, Plan, StepOutput, first_of_each
from openmoon.training.self_supervision import views_loss

COUNTERPARTS = ("image", "title+image", "rich+image")  # what a view of a picture should find: another view, the product


def pretraining_objective(
    temperature: Callable[[], Tensor],
    items: Parts,
    spus: np.ndarray,
    rows: np.ndarray,
    dims: Sequence[int],
    image_text: float,
    self_supervision: float,
    with_text: float = 0.5,
) -> Objective:
    """Losses of a batch of products.

    `items` are all products, `spus` (N,) int64 their SPUs, `rows` those that are learnt from (an element of a
    batch indexes `rows`). `image_text` weighs what joins picture and text, and text and whole product, `self_supervision` the
    views of pictures; a product without picture or without text takes no part in what it lacks. Products of one SPU are no
    negatives of each other, nor are those that look the same or are called the same.
    """
    shares = (1 - with_text, with_text / 2, with_text / 2)
    has_image, has_text, titled = items.has("image"), items.has("rich"), items.has("title")

    def plan(batch: np.ndarray, rng: np.random.Generator, progress: float) -> Plan:
        products = rows[batch]
        both = products[has_image[products] & has_text[products]]
        pictured = products[has_image[products]]
        views = [items.show(["image"] * len(pictured), pictured)]
        pictures = views[0].identity()
        align = bool(image_text) and len(both) > 1
        supervise = bool(self_supervision) and len(pictured) > 1
        if align:
            kinds = np.where(titled[both], rng.choice(["title", "rich"], len(both)), "rich")
            views.append(items.show(list(kinds), both))
        if supervise:
            shown = rng.choice(COUNTERPARTS, len(pictured), p=shares)
            views.append(items.show(list(shown), pictured))
            told = np.array([text is not None for text in views[-1].texts])[has_text[pictured]]  # of `both`

        def loss(encoded: Sequence[Encoded]) -> StepOutput:
            first, *others = (one.vectors for one in encoded)
            losses: dict[str, Tensor] = {}
            if not align and not supervise:  # no two products to tell apart
                losses["image_text"] = first.sum() * 0
            if align:
                matched = torch.from_numpy(np.flatnonzero(has_text[pictured])).to(first.device)
                codes = codes_of(spus[both], pictures[has_text[pictured]], views[1].identity()).to(first.device)

                def meet(some: Tensor, side: Tensor) -> Tensor:
                    one, other, same = side[matched][some], others[0][some], codes[:, some]
                    found = views_loss(one, other, same, temperature(), dims) + views_loss(other, one, same, temperature(), dims)
                    return image_text * found / 2

                losses["image_text"] = meet(torch.arange(len(both), device=first.device), first)
                if supervise and told.sum() > 1:
                    losses["product_text"] = meet(torch.from_numpy(np.flatnonzero(told)).to(first.device), others[-1])
            if supervise:
                codes = codes_of(spus[pictured], pictures)
                losses["self_supervision"] = self_supervision * views_loss(first, others[-1], codes, temperature(), dims)
            return StepOutput(losses, first[first_of_each(pictures)])

        return Plan(views, loss)

    return plan
