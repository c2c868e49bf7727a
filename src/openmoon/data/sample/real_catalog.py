"""What a real catalogue tells the simulation: traits, a latent space, and the texts that people would type."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

import numpy as np
import polars as pl

from openmoon.data.sample.latent import LatentSpace, latent_space
from openmoon.data.sample.queries import Texts
from openmoon.data.sample.random_text import mistype

_CATEGORY, _ATTRIBUTES, _TITLE, _FINE = 0.3, 0.35, 0.15, 0.2  # shares of a full match
_MOST_VALUES = 300  # attributes with more distinct values are taken for descriptions, not traits
_WORD_DIM, _FINE_DIM = 48, 8
_TEXTS_EACH = 2
_UNKNOWN = "unknown"


def catalog_traits(catalog: pl.DataFrame) -> dict[str, list[str]]:
    """The category, then every attribute with 2 to `_MOST_VALUES` values that half of the products have."""
    parsed = [json.loads(text) if text else {} for text in catalog["attributes"].to_list()]
    traits = {"category": [value or _UNKNOWN for value in catalog["category"].to_list()]}
    for name in sorted({name for product in parsed for name in product} - {"category"}):
        values = [str(product.get(name) or _UNKNOWN) for product in parsed]
        if (
            2 <= len(set(values)) <= _MOST_VALUES
            and 2 * values.count(_UNKNOWN) <= len(values)
            and values != traits["category"]
        ):
            traits[name] = values
    return traits


def catalog_space(
    traits: dict[str, list[str]], titles: list[str], spu: pl.Series, random: np.random.Generator
) -> LatentSpace:
    """Traits, the words of the title, and a look of its own for every SPU, which stands for what no word says."""
    look = random.standard_normal((spu.n_unique(), _FINE_DIM))[spu.rank("dense").to_numpy() - 1]
    attributes = max(len(traits) - 1, 1)
    shares = {"category": _CATEGORY} | {name: _ATTRIBUTES / attributes for name in traits if name != "category"}
    words = np.stack(
        [np.sum([_word_vector(w) for w in _words(title)] or [np.zeros(_WORD_DIM)], axis=0) for title in titles]
    )
    return latent_space(traits, {"title": words, "fine": look}, shares | {"title": _TITLE, "fine": _FINE})


def write_catalog_texts(
    traits: dict[str, list[str]], titles: list[str], blocks: list[str], random: np.random.Generator
) -> Texts:
    """`_TEXTS_EACH` texts a product: some attribute values, mostly the category; in half of them words of its title."""
    texts, named = [], []
    names = list(traits)
    for row, title in enumerate(titles):
        own = {name: _spoken(traits[name][row]) for name in names if traits[name][row] != _UNKNOWN}
        spoken = {word for value in own.values() for word in value.split()}
        rest = [word for word in _words(title) if word not in spoken]
        for _ in range(_TEXTS_EACH):
            said = [name for name in own if random.random() < (0.85 if name == "category" else 0.35)]
            said = said or list(own)[:1]
            words = [own[name] for name in reversed(said)]
            from_title = bool(rest) and (random.random() < 0.5 or not words)
            if from_title:
                start = int(random.integers(len(rest)))
                words = [*rest[start : start + 2], *words]
            text = " ".join(words) or _UNKNOWN
            texts.append(mistype(random, text) if random.random() < 0.12 else text)
            named.append([name in said or (name == "title" and from_title) for name in blocks])
    return Texts(texts, np.repeat(np.arange(len(titles)), _TEXTS_EACH), np.array(named, dtype=bool))


def _words(title: str) -> list[str]:
    return [word for word in "".join(c if c.isalnum() else " " for c in title.lower()).split() if len(word) > 1]


def _spoken(value: str) -> str:
    """How a shopper says a value: the last level of a category path, in lower case."""
    return value.rsplit(">", 1)[-1].strip().lower()


@lru_cache(maxsize=200_000)
def _word_vector(word: str) -> np.ndarray:
    """A direction of the word's own: signs from a hash of it."""
    bits = np.frombuffer(hashlib.blake2b(word.encode(), digest_size=_WORD_DIM // 8).digest(), dtype=np.uint8)
    return np.unpackbits(bits).astype(float) * 2 - 1
