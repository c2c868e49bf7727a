"""Two views of one picture find each other: step 1 of "Visual Encoding and Debiasing for CTR Prediction", and its λ·L_ssl beside
the clicks of step 2 [reconstructed]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from torch import Tensor

from openmoon.data.views import Parts
from openmoon.losses import in_blocks, info_nce, matryoshka, same_identity
from openmoon.training.contrast import codes_of
from openmoon.training.plan import Encoded, Objective, Plan, StepOutput


def views_loss(first: Tensor, second: Tensor, codes: Tensor, temperature: Tensor, dims: Sequence[int]) -> Tensor:
    """Mean InfoNCE of views (B, D) that each look for the second of their input; what shares one of the identities `codes`
    (K, B) is no negative. Large batches go in blocks."""
    codes = codes.to(first.device)

    def of(rows: Tensor) -> Tensor:
        found = partial(info_nce, temperature=temperature, positive=rows, ignore=same_identity(codes[:, rows], codes))
        return matryoshka(found, [first[rows], second], dims)

    return in_blocks(of, len(first), len(second), first.device).mean()


def with_self_supervision(
    objective: Objective, temperature: Callable[[], Tensor], item: np.ndarray, items: Parts, spus: np.ndarray,
    dims: Sequence[int], weight: float,
) -> Objective:  # fmt: skip
    """`objective` and, `weight` times, the loss of two augmented views of the pictures of its products. Row r of the training
    table holds product `item[r]`; `spus` are of all `items`."""
    has_image = items.has("image")

    def plan(rows: np.ndarray, rng: np.random.Generator, progress: float) -> Plan:
        inner = objective(rows, rng, progress)
        products = np.unique(item[rows])
        products = products[has_image[products]]
        if len(products) < 2:
            return inner
        view = items.show(["image"] * len(products), products)
        codes = codes_of(spus[products], view.identity())

        def loss(encoded: Sequence[Encoded]) -> StepOutput:
            output = inner.loss(encoded[:-2])
            first, second = (one.vectors for one in encoded[-2:])
            output.losses["self_supervision"] = weight * views_loss(first, second, codes, temperature(), dims)
            return output

        return Plan([*inner.views, view, view], loss)

    return plan
