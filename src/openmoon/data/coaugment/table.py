"""The augmentation table: every text and picture that was made, what was done, how the gate judged it; and what training
takes from it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from openmoon.data.tables import read_parquet
from openmoon.errors import UserError
from openmoon.io import atomic_path

SCHEMA = {
    "product_id": pl.String(), "kind": pl.String(), "text": pl.String(), "image": pl.String(), "source": pl.String(),
    "recipe": pl.String(), "score": pl.Float64(), "kept": pl.Boolean(), "reason": pl.String(),
}  # fmt: skip


class Made(NamedTuple):
    """A row in the making. `kind` is text or image, `image` a path relative to the table; a `reason` says why it is left out."""

    product_id: str
    kind: str
    source: str
    text: str | None = None
    image: str | None = None
    recipe: dict[str, Any] | None = None
    score: float | None = None
    reason: str | None = None


class Origin(NamedTuple):
    """What a table was made of: identity of the products, fingerprint of the encoder that judged, the settings as JSON."""

    products: str
    encoder: str
    settings: str


def write_table(path: Path, rows: Iterable[Made], origin: Origin) -> pl.DataFrame:
    """Write `path` atomically, with its `origin` in the file's metadata, and return the table; its rows are sorted by product,
    kind and source, then as they came."""
    records = [
        (row.product_id, row.kind, row.text, row.image, row.source, json.dumps(row.recipe or {}, ensure_ascii=False),
         row.score, row.reason is None, row.reason)
        for row in rows
    ]  # fmt: skip
    table = pl.DataFrame(records, SCHEMA, orient="row").sort("product_id", "kind", "source", maintain_order=True)
    with atomic_path(path) as temporary:
        table.write_parquet(temporary, metadata=origin._asdict())
    return table


def origin_of(path: Path) -> Origin:
    """What the table at `path` was made of; empty texts for what it does not say."""
    said = pl.read_parquet_metadata(path)
    return Origin(*(said.get(name, "") for name in Origin._fields))


@dataclass(frozen=True)
class Augmented:
    """What was kept, by product: enriched texts, and where expanded pictures are. Products without any are absent."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    images: dict[str, list[Path]] = field(default_factory=dict)

    def texts_of(self, product_ids: Sequence[str]) -> list[list[str]]:
        """The texts of each product, in the order given; an empty list where there is none."""
        return [self.texts.get(product_id, []) for product_id in product_ids]

    def images_of(self, product_ids: Sequence[str]) -> list[list[Path]]:
        """The pictures of each product, in the order given; an empty list where there is none."""
        return [self.images.get(product_id, []) for product_id in product_ids]


def load_augmented(path: Path) -> Augmented:
    """The kept rows of the table that `openmoon data augment` wrote to `path`.

    Raises `UserError` where there is no such table, it lacks a column, or a picture is gone.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no augmentation table here; run `openmoon data augment` with this recipe first.")
    table = read_parquet(path)
    if missing := [name for name in SCHEMA if name not in table.columns]:
        raise UserError(f"{path}: no column {missing[0]!r}; this is no augmentation table. Run `openmoon data augment` again.")
    found = Augmented()
    for product_id, text, image in table.filter("kept").select("product_id", "text", "image").iter_rows():
        if text is not None:
            found.texts.setdefault(product_id, []).append(text)
        if image is not None:
            found.images.setdefault(product_id, []).append(path.parent / image)
    for pictures in found.images.values():
        for picture in pictures:
            if not picture.is_file():
                raise UserError(f"{picture}: {path} names this picture and it is gone; run `openmoon data augment` again.")
    return found
