"""The views under which queries and items meet: text, richer text, picture, and their combinations (MOON Table 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from openmoon.data.blend import Blend
from openmoon.io import hash_number

Column = npt.NDArray[np.object_]  # of str | None
ASKED = ("text", "image", "text+image")  # how a query of words and a photo can be shown


def identities(column: Column) -> npt.NDArray[np.int64]:
    """(N,) int64, equal where a column holds the same; a missing value equals nothing, not even another one."""
    codes = {value: code for code, value in enumerate(dict.fromkeys(value for value in column if value is not None))}
    return np.array([-2 - row if value is None else codes[value] for row, value in enumerate(column)], np.int64)


def codes(names: pl.Series) -> npt.NDArray[np.int64]:
    """(N,) int64, equal for equal names."""
    return names.rank("dense").to_numpy().astype(np.int64)


@dataclass(frozen=True)
class Views:
    """Texts and picture keys of a batch, row by row; None where the view has no such part."""

    texts: Sequence[str | None]
    images: Sequence[str | Blend | None]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: npt.NDArray[np.int64]) -> Views:
        """Some rows, in the order given."""
        return Views([self.texts[row] for row in rows], [self.images[row] for row in rows])

    def identity(self) -> npt.NDArray[np.int64]:
        """(B,) int64, equal for rows that show the same text and the same picture, in this batch or any other."""
        rows = zip(self.texts, self.images, strict=True)
        return np.array([hash_number(repr(row)) for row in rows], np.uint64).view(np.int64)

    def blended(self, partner: npt.NDArray[np.int64], share: npt.NDArray[np.float64]) -> Views:
        """The same rows, pictures with a share below 1 blended with those of the rows in `partner`, both (B,)."""
        images = list(self.images)
        for row in np.flatnonzero(share < 1).tolist():
            first, second = self.images[row], self.images[partner[row]]
            if not isinstance(first, str) or not isinstance(second, str):
                raise ValueError(f"row {row}: only plain pictures are blended, not {first!r} with {second!r}")
            images[row] = Blend(first, second, float(share[row]))
        return Views(self.texts, images)

    def by_composition(self) -> list[npt.NDArray[np.int64]]:
        """Rows that show a text only, a picture only, both: one array for each that occurs."""
        kind = [
            (text is not None) + 2 * (image is not None) for text, image in zip(self.texts, self.images, strict=True)
        ]
        return [np.flatnonzero(np.equal(kind, k)) for k in (1, 2, 3) if k in kind]


@dataclass(frozen=True)
class Variants:
    """What training may show in place of a row's text and picture (co-augmentation): for each row further texts and picture
    keys, often none. Text and picture are each replaced with probability `share`."""

    texts: Sequence[Sequence[str]]
    images: Sequence[Sequence[str]]
    share: float

    def vary(self, views: Views, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> Views:
        """`views` of `rows`, some of them as variants; a part that is not shown stays away."""
        texts, images = list(views.texts), list(views.images)
        chance, choice = rng.random((2, len(rows))), rng.random((2, len(rows)))
        for place in np.flatnonzero(chance[0] < self.share).tolist():
            if texts[place] is not None and (own := self.texts[rows[place]]):
                texts[place] = own[int(choice[0, place] * len(own))]
        for place in np.flatnonzero(chance[1] < self.share).tolist():
            if images[place] is not None and (own := self.images[rows[place]]):
                images[place] = own[int(choice[1, place] * len(own))]
        return Views(texts, images)


@dataclass(frozen=True)
class Parts:
    """What a table of queries or products has to show: named texts and pictures, columns of equal length; and `variants` of
    them for training."""

    texts: dict[str, Column]
    images: Column
    variants: Variants | None = None

    def __len__(self) -> int:
        return len(self.images)

    def has(self, view: str, complete: bool = False) -> npt.NDArray[np.bool_]:
        """Rows where `view` shows something (all of its parts, if `complete`)."""
        present = [column != None for column in self._columns(view)]  # noqa: E711 (elementwise)
        return np.logical_and.reduce(present) if complete else np.logical_or.reduce(present)

    def show(self, views: Sequence[str], rows: npt.NDArray[np.int64]) -> Views:
        """Row `rows[i]` under `views[i]`; a part that the row lacks is left out."""
        texts: list[str | None] = []
        images: list[str | Blend | None] = []
        for view, row in zip(views, rows, strict=True):
            text, _, image = view.rpartition("+") if "+" in view else (view, "", view)
            texts.append(self.texts[text][row] if text in self.texts else None)
            images.append(self.images[row] if image == "image" else None)
        return Views(texts, images)

    def draw(self, views: Sequence[str], rows: npt.NDArray[np.int64], rng: np.random.Generator) -> Views:
        """`show`, with variants in place of some texts and pictures where there are any."""
        shown = self.show(views, rows)
        return shown if self.variants is None else self.variants.vary(shown, rows, rng)

    def _columns(self, view: str) -> list[Column]:
        return [self.images if part == "image" else self.texts[part] for part in view.split("+")]
