"""The consistency gate: does an enriched text or expanded picture still show its own product, to an encoder's eye?

Cosines differ from encoder to encoder and between words and pictures, so the gate counts instead: of a sample of other
products, which share is further away than the own one?

- `same`: from the text to titles, or from the picture to pictures. At least `nearer` of the others must be further: it is
  still this product.
- `cross`: from the text to pictures, or from the picture to titles (MOON2.0's image–title consistency). It may be below
  `before`, the same share for the original title or picture, by no more than `slack`: a product whose title and picture
  never matched well is not asked for more than that.

The form is reconstructed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

CHUNK = 2048  # rows of a similarity matrix in memory
STRANGE = "nearer to other products than to its own"
WORSE = "title and picture match less than before"


class Anchors(NamedTuple):
    """What the catalogue itself shows of each product: unit vectors (P, d) of titles and of pictures, NaN where it has none;
    `family` (P,) int64 is equal for variants of one product; `others` are the rows of the sample to compare with."""

    texts: Floats
    pictures: Floats
    family: npt.NDArray[np.int64]
    others: npt.NDArray[np.int64]


class Judgement(NamedTuple):
    """Shares in 0..1, each (N,), NaN where the product has no such part and nothing can be asked."""

    same: Floats
    cross: Floats
    before: Floats

    @property
    def score(self) -> Floats:
        """min(same, 1 − what cross lost), (N,) in 0..1: one number to sort by."""
        worse = np.nan_to_num(np.maximum(self.before - self.cross, 0))
        return np.asarray(np.minimum(np.nan_to_num(self.same, nan=1.0), 1 - worse))

    def reasons(self, nearer: float, slack: float) -> list[str | None]:
        """Why each row is dropped, None for what is kept."""
        strange, worse = self.same < nearer, self.before - self.cross > slack
        return [STRANGE if row[0] else WORSE if row[1] else None for row in zip(strange, worse, strict=True)]


def judge(kind: str, vectors: Floats, owner: npt.NDArray[np.int64], anchors: Anchors) -> Judgement:
    """Judge augmented texts (`kind` "text") or pictures ("image"): `vectors` (N, d) of the products in rows `owner` (N,)."""
    own, other = (anchors.texts, anchors.pictures) if kind == "text" else (anchors.pictures, anchors.texts)
    same = nearer_than_others(vectors, owner, own, anchors)
    cross = nearer_than_others(vectors, owner, other, anchors)
    shown, place = np.unique(owner, return_inverse=True)
    before = nearer_than_others(own[shown], shown, other, anchors)[place]
    return Judgement(same, cross, before)


def nearer_than_others(vectors: Floats, owner: npt.NDArray[np.int64], targets: Floats, anchors: Anchors) -> Floats:
    """Share (N,) of the sampled products of other families whose row of `targets` (P, d) is less similar to each vector than
    that of its owner; ties count half; NaN where vector or owner's target is missing, or nothing is to compare with."""
    others = anchors.others[np.isfinite(targets[anchors.others]).all(1)]
    shares = np.full(len(vectors), np.nan)
    for start in range(0, len(vectors), CHUNK):
        rows = slice(start, start + CHUNK)
        mine = (vectors[rows] * targets[owner[rows]]).sum(1)[:, None]
        theirs = vectors[rows] @ targets[others].T
        counted = anchors.family[owner[rows]][:, None] != anchors.family[others]
        equal = np.isclose(theirs, mine, rtol=0, atol=1e-6)
        further = counted * np.where(equal, 0.5, theirs < mine)
        total = counted.sum(1)
        shares[rows] = np.where(np.isnan(mine[:, 0]) | (total == 0), np.nan, further.sum(1) / np.maximum(total, 1))
    return shares
