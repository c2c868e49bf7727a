"""What shoppers ask with: texts that name some traits of the product they have in mind, and photos of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from openmoon.data.sample.random_text import mistype, pick
from openmoon.data.sample.words import SAID_COLOURS, SAID_PATTERNS, SAID_TYPES, USES

_MISTYPED = 0.12
_COLLOQUIAL = 0.35


@dataclass(frozen=True)
class Texts:
    """text[i] was written for row product[i] of the catalogue and names the traits named[i] (in the space's order)."""

    text: list[str]
    product: np.ndarray
    named: np.ndarray


@dataclass(frozen=True)
class Photos:
    """path[i] shows the product in row product[i]."""

    path: list[str]
    product: np.ndarray


@dataclass(frozen=True)
class Queries:
    """All texts and photos of a shop. photo_shows: (traits,) bool, what a photo tells."""

    texts: Texts
    photos: Photos
    photo_shows: np.ndarray

    def photo_named(self) -> np.ndarray:
        """(photos, traits) bool, as `Texts.named`."""
        return np.tile(self.photo_shows, (len(self.photos.product), 1))


def write_texts(products: pl.DataFrame, traits: Sequence[str], each: int, random: np.random.Generator) -> Texts:
    """`each` texts for every true product: partial, colloquial, sometimes misspelt."""
    chance = {
        "type": 0.95,
        "variant": 0.35,
        "colour": 0.65,
        "pattern": 0.5,
        "material": 0.3,
        "brand": 0.15,
        "use": 0.15,
    }
    texts, named = [], []
    for row in products.iter_rows(named=True):
        for _ in range(each):
            toss = random.random(len(chance)).tolist()
            said = {name for (name, p), t in zip(chance.items(), toss, strict=True) if t < p}
            if row["pattern"] == "plain" and random.random() < 0.7:
                said.discard("pattern")
            if len(said) < 2:
                said |= {"type", "colour"}
            texts.append(_say(row, said, random))
            named.append([name in said for name in traits])
    return Texts(texts, np.repeat(np.arange(products.height), each), np.array(named, dtype=bool))


def _say(row: dict[str, str], said: set[str], random: np.random.Generator) -> str:
    def word(name: str, others: dict[str, tuple[str, ...]]) -> str:
        known = others.get(row[name], ())
        return pick(random, known) if known and random.random() < _COLLOQUIAL else row[name]

    words = [row["brand"].lower()] if "brand" in said else []
    words += [word("colour", SAID_COLOURS)] if "colour" in said else []
    words += [word("pattern", SAID_PATTERNS)] if "pattern" in said else []
    words += [row["material"]] if "material" in said else []
    words += [row["variant"]] if "variant" in said else []
    words += [word("type", SAID_TYPES)] if "type" in said else []
    if random.random() < 0.15:
        words = [words[-1], *words[:-1]]
    words += [pick(random, USES[row["use"]])] if "use" in said else []
    text = " ".join(words)
    return mistype(random, text) if random.random() < _MISTYPED else text


def plan_photos(products: np.ndarray, count: int, random: np.random.Generator) -> Photos:
    """Share `count` photos out to `products` (rows): each gets the same number, the rest goes by lot.

    The files are numbered by lot too, so that their names say nothing about the product.
    """
    rounds, rest = divmod(count, max(len(products), 1))
    owner = np.sort(np.concatenate([np.repeat(products, rounds), random.permutation(products)[:rest]])).astype(np.int64)
    return Photos([f"photos/{number:06d}.jpg" for number in random.permutation(len(owner)).tolist()], owner)


def labelled_queries(texts: Texts, photos: Photos, product_ids: pl.Series) -> pl.DataFrame:
    """Every text and every photo once, with its product; a product's k-th text and k-th photo share a row."""
    frames = [
        pl.DataFrame(
            {column: values, "row": product, "number": np.arange(len(product)) - np.searchsorted(product, product)},
            schema_overrides={column: pl.String, "row": pl.Int64, "number": pl.Int64},
        )
        for column, values, product in (
            ("query_text", texts.text, texts.product),
            ("query_image", photos.path, photos.product),
        )
    ]
    joined = frames[0].join(frames[1], on=["row", "number"], how="full", coalesce=True).sort("row", "number")
    return joined.select("query_text", "query_image", product_id=product_ids.gather(joined["row"]))
