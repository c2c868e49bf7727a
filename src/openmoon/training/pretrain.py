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
from openmoon.losses import info_nce, matryoshka, same_identity
from openmoon.training.featurize import Featurizer
from openmoon.training.loop import Objective, StepOutput

COUNTERPARTS = ("image", "title+image", "rich+image")  # what a view of a picture should find: another view, the product
COUNTERPART_SHARES = (0.5, 0.25, 0.25)


def pretraining_objective(
    featurize: Featurizer,
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

    def step(batch: np.ndarray, rng: np.random.Generator) -> StepOutput:
        products = rows[batch]
        losses: dict[str, Tensor] = {}
        both = products[has_image[products] & has_text[products]]
        pictured = products[has_image[products]]
        pictures = items.show(["image"] * len(pictured), pictured)
        first = featurize(pictures, rng)
        if image_text and len(both) > 1:
            views = rng.choice(["title", "rich"], len(both))
            views = np.where(items.has("title")[both], views, "rich")
            texts = featurize(items.show(list(views), both), rng)
            matched = torch.from_numpy(np.flatnonzero(has_text[pictured]))
            loss = _loss(temperature(), spus[both], symmetric=True)
            losses["image_text"] = image_text * matryoshka(loss, first[matched], texts, dims)
        if self_supervision and len(pictured) > 1:
            loss = _loss(temperature(), spus[pictured], symmetric=False)
            shown = rng.choice(COUNTERPARTS, len(pictured), p=COUNTERPART_SHARES)
            second = featurize(items.show(list(shown), pictured), rng)
            losses["self_supervision"] = self_supervision * matryoshka(loss, first, second, dims)
        return StepOutput(losses, first)

    return step


def _loss(temperature: Tensor, spus: np.ndarray, symmetric: bool) -> Callable[[Tensor, Tensor], Tensor]:
    ignore = same_identity(torch.from_numpy(spus))
    return partial(info_nce, temperature=temperature, ignore=ignore, symmetric=symmetric)
