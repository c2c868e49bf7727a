"""Blends of two query pictures: a blended query is to find the items of both, each by its share.

From CutMix (Yun et al. 2019) and mixup (Zhang et al. 2018), with targets among the items of the batch as in i-Mix
(Lee et al. 2021). A patch of another photo is all that a blend keeps of it, so an encoder that reads the shop around the
product instead of the product is wrong on half of what it sees.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BETA = 0.4  # of the symmetric beta distribution that shares are drawn from: mostly one picture, sometimes even


class Blend(NamedTuple):
    """Names two pictures that are shown as one: `share` of `first`, the rest of `second`."""

    first: str
    second: str
    share: float


def draw_partners(
    rows: np.ndarray, chance: float, total: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Who is blended with whom: `partner` (total,) int64 and `share` (total,) of the row's own picture.

    Only `rows` take part, each with probability `chance`; all others are their own partner with share 1.
    """
    partner, share = np.arange(total), np.ones(total)
    chosen = rows[rng.random(len(rows)) < chance]
    partner[chosen] = rng.permutation(chosen)
    share[chosen] = rng.beta(BETA, BETA, len(chosen))
    return partner, share


def blend_pictures(images: Tensor, others: Tensor, share: np.ndarray, rng: np.random.Generator) -> Tensor:
    """(B, 3, S, S) and (B, 3, S, S) → (B, 3, S, S): half of the rows get a patch of the other picture over (1 − share) of
    their area, half the weighted mean of both. `share` (B,) is in 0..1."""
    size = images.shape[-1]
    kept = torch.from_numpy(share).to(images)[:, None, None, None]
    mask = kept.expand(-1, 1, size, size).clone()
    side = np.round(size * np.sqrt(1 - share)).astype(int)
    for row in np.flatnonzero(rng.random(len(images)) < 0.5):
        top, left = rng.integers(0, size - side[row] + 1, 2)
        mask[row] = 1
        mask[row, :, top : top + side[row], left : left + side[row]] = 0
    return mask * images + (1 - mask) * others
