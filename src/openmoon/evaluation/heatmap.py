"""Which regions of a picture make it match a text or another picture: hide each in turn and see what the similarity loses.

Occlusion (Zeiler & Fergus 2014) asks the whole encoder, pixels to vector, and so holds for any trunk. Cheaper maps were measured
beside it (`benchmarks/heatmap.py`): attention rollout hardly depends on what the text says, and gradient x input of the
tokens that enter the fusion lights up background, since the tokens of a deep trunk have seen the whole picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

# of the picture's side: a hidden window, its soft edge, the step between windows, how far a window speaks in the map
WINDOW, EDGE, STRIDE, REACH = 3 / 8, 1 / 16, 1 / 8, 1 / 4
GRID = 32  # cells a side of a map


class Encoder(Protocol):
    """What is asked of an encoder: `ProductEncoder` has it."""

    def encode(self, inputs: list[Any], /) -> np.ndarray: ...


@dataclass(frozen=True)
class Heatmap:
    """What `label` has to do with a picture: their cosine `similarity`, and `map` (GRID, GRID), row by row from the top.

    A cell is what the similarity loses when the region around it is hidden, in units of the cosine: positive where the
    region speaks for the match, negative where the match would be closer without it.
    """

    label: str
    similarity: float
    map: np.ndarray


@dataclass(frozen=True)
class Occlusion:
    """Vectors of a picture: `whole` (dim,), and `hidden` (P, dim) with each of the P windows covered."""

    whole: np.ndarray
    hidden: np.ndarray

    def maps(self, targets: np.ndarray) -> np.ndarray:
        """(T, GRID, GRID) maps, as in `Heatmap`, of T unit vectors (T, dim): a cell is the mean loss of the windows about it, by
        weights that fall linearly with the distance of a window's centre."""
        loss = targets @ (self.whole - self.hidden).T
        weights = _products(np.clip(1 - _distances(GRID) / REACH, 0, 1))
        return np.einsum("tp,pyx->tyx", loss, weights) / weights.sum(0)

    def heatmaps(self, labels: list[str], targets: np.ndarray) -> list[Heatmap]:
        """One `Heatmap` for each target."""
        similarities = (targets @ self.whole).tolist()
        return [Heatmap(*parts) for parts in zip(labels, similarities, self.maps(targets), strict=True)]


def occlude(encoder: Encoder, picture: np.ndarray) -> Occlusion:
    """Encode a square picture (S, S, 3) uint8 whole and with every window painted in the colour of its border.

    That colour is the median of the outermost pixels: before a plain background a hidden product is simply gone, where a
    grey patch would be a new object.
    """
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    cover = windows(len(picture))[..., None]
    painted = picture * (1 - cover) + np.median(border, axis=0) * cover
    vectors = encoder.encode([picture, *painted.round().astype(np.uint8)])
    return Occlusion(vectors[0], vectors[1:])


def text_heatmaps(encoder: Encoder, picture: np.ndarray, text: str) -> tuple[Heatmap, list[Heatmap]]:
    """The map of a text over a picture (S, S, 3), and one for each of its words as if it stood alone, in order, once each."""
    words = list(dict.fromkeys(text.split()))
    whole, *each = occlude(encoder, picture).heatmaps([text, *words], encoder.encode([text, *words]))
    return whole, each


def match_heatmaps(encoder: Encoder, a: np.ndarray, b: np.ndarray, labels: tuple[str, str]) -> tuple[Heatmap, Heatmap]:
    """Why two pictures (S, S, 3) match: where a resembles the whole of b, and where b resembles the whole of a."""
    seen_a, seen_b = occlude(encoder, a), occlude(encoder, b)
    (over_a,) = seen_a.heatmaps([labels[0]], seen_b.whole[None])
    (over_b,) = seen_b.heatmaps([labels[1]], seen_a.whole[None])
    return over_a, over_b


def windows(side: int) -> np.ndarray:
    """(P, side, side) float32 in 0..1: how much each window covers each pixel. The outermost are centred on the
    picture's border, so that corners have windows of their own."""
    return _products(np.clip((WINDOW / 2 - _distances(side)) / EDGE + 0.5, 0, 1))


def _distances(side: int) -> np.ndarray:
    """(windows along one axis, side): from the centre of each window to the middle of each pixel, of the picture's side."""
    centres = np.arange(0, 1 + STRIDE / 2, STRIDE)
    return np.abs((np.arange(side) + 0.5) / side - centres[:, None])


def _products(along: np.ndarray) -> np.ndarray:
    """A profile along one axis, (n, side) → the same along both, (n², side, side)."""
    return np.einsum("iy,jx->ijyx", along, along, dtype=np.float32, casting="same_kind").reshape(-1, *2 * along.shape[1:])
