"""What text enrichment knows of a product."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

import polars as pl


class Product(NamedTuple):
    """A row of the catalogue; `attributes` are name → value in the order of the catalogue."""

    product_id: str
    title: str | None = None
    description: str | None = None
    category: str | None = None
    attributes: dict[str, str] = {}  # noqa: RUF012 (never changed)

    @property
    def kind(self) -> str | None:
        """The innermost category: `Furniture > Chair` → `Chair`."""
        return re.split(r"\s*[>|/]\s*", self.category.strip(" >|/"))[-1] or None if self.category else None

    def words(self) -> str:
        """Everything that the catalogue says, one part a line."""
        parts = [self.title, self.category, *self.attributes.values(), self.description]
        return "\n".join(part for part in parts if part)


def products_of(catalog: pl.DataFrame) -> list[Product]:
    """The products of a catalogue in its normal form (`data/schema.py`), in its order."""
    columns = catalog.select("product_id", "title", "description", "category", "attributes")
    return [
        Product(product_id, title, description, category, json.loads(attributes or "{}"))
        for product_id, title, description, category, attributes in columns.iter_rows()
    ]


def normal_name(name: str) -> str:
    """One form of an attribute's name: `brandName`, `brand_name` and `Brand name` are the same."""
    return re.sub(r"[\W_]+", "", name).casefold()


def spoken_name(name: str) -> str:
    """An attribute's name as words: `baseColour` → `base colour`."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return re.sub(r"[\s_\-]+", " ", apart).strip().lower()
