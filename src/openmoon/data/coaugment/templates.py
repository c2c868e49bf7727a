"""Enriched texts T⁺ from attributes by templates: several phrasings, orders and selections, drawn per product.

What is drawn follows from a hash of seed and product id, so it depends neither on the order of the rows nor on other
products. The phrases are English; facts keep the catalogue's language.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from openmoon.data.coaugment.identity import protected, says
from openmoon.data.coaugment.product import Product, normal_name, spoken_name
from openmoon.io import hash_number

MOST_FACTS = 5
DRAWS = 6  # per text that is asked for, to find different ones

# how a fact is said, by the name of its attribute; {} is the value
PHRASES: dict[str, tuple[str, ...]] = {
    "colour": ("in {}", "{} in colour", "colour {}"), "material": ("made of {}", "in {}", "material {}"),
    "pattern": ("with a {} pattern", "{} pattern", "{} design"), "brand": ("by {}", "from {}", "brand {}"),
    "use": ("for {} use", "use: {}"), "gender": ("for {}",), "season": ("for {}", "season {}"), "size": ("size {}", "in size {}"),
}  # fmt: skip
ANY_PHRASES = ("{name}: {value}", "{name} {value}")
SAME_NAMES = {
    "color": "colour", "basecolour": "colour", "basecolor": "colour", "maincolour": "colour", "maincolor": "colour",
    "fabric": "material", "usage": "use", "occasion": "use", "brandname": "brand", "manufacturer": "brand",
}  # fmt: skip
FRAMES = (
    "{head}. {kind}, {facts}.", "{head}: {facts}.", "{kind}: {head}, {facts}.", "{head}, {facts}.", "{head}. {facts}.",
    "{facts}: {head}.",
)  # fmt: skip

# generic words that mean the same; only ever exchanged where they are the product's own category
SYNONYMS = {
    "sofa": "couch", "sneaker": "trainer", "backpack": "rucksack", "trousers": "pants", "tshirt": "tee", "t-shirt": "tee",
    "jumper": "sweater", "mug": "cup", "handbag": "bag", "flip flops": "thongs", "wallet": "billfold", "cap": "hat",
    "sunglasses": "shades", "lamp": "light", "sweatshirt": "sweater", "bottle": "flask",
}  # fmt: skip


class Enriched(NamedTuple):
    """A text, and what was done to make it."""

    text: str
    recipe: dict[str, Any]


def enrich(product: Product, count: int, seed: int, protect: tuple[str, ...] = ()) -> list[Enriched]:
    """Up to `count` different texts for `product`; fewer where the catalogue says too little of it.

    The title is part of every text; a generic word in it may be exchanged for a synonym, what `protected` names never is.
    """
    rng = np.random.default_rng(hash_number(f"{seed}/text/{product.product_id}"))
    found: dict[str, Enriched] = {}
    for _ in range(DRAWS * count):
        drawn = _draw(product, protected(product, protect), rng)
        if drawn is not None and drawn.text != product.title:
            found.setdefault(drawn.text, drawn)
        if len(found) == count:
            break
    return list(found.values())


def _draw(product: Product, keep: list[str], rng: np.random.Generator) -> Enriched | None:
    head, kind, swapped = product.title, product.kind, None
    if rng.random() < 0.5:
        head, kind, swapped = _with_synonym(head, kind, keep)
    facts = _facts(product)
    chosen = rng.permutation(len(facts))[: min(MOST_FACTS, int(rng.integers(-(-len(facts) // 2), len(facts) + 1)))]
    said = _joined([_say(facts[i][0], facts[i][1], rng) for i in chosen], rng)
    sentence = _sentence(product, rng)
    frames = [frame for frame in FRAMES if head and said and (kind or "{kind}" not in frame)]
    frame = frames[rng.integers(len(frames))] if frames else ". ".join(
        slot for slot, part in (("{head}", head), ("{kind}", kind), ("{facts}", said)) if part)  # fmt: skip
    if re.search(r"(^|\. ){facts}", frame):  # they begin a sentence
        said = said[:1].upper() + said[1:]
    text = frame.format(head=head, kind=kind, facts=said)
    if sentence:
        text = f"{text.rstrip('. ')}. {sentence}" if text else sentence
    recipe: dict[str, Any] = {"frame": frame, "attributes": [facts[i][0] for i in chosen]}
    recipe |= ({"description": True} if sentence else {}) | ({"synonym": swapped} if swapped else {})
    return Enriched(text, recipe) if text.strip() else None


def _sentence(product: Product, rng: np.random.Generator) -> str | None:
    """A sentence of the description, in half of the draws."""
    sentences = [" ".join(s.split()) for s in re.split(r"(?<=[.!?])\s+", product.description or "") if s.strip()]
    return sentences[rng.integers(len(sentences))] if sentences and rng.random() < 0.5 else None


def _facts(product: Product) -> list[tuple[str, str]]:
    """The attributes that the title does not say already."""
    return [(name, " ".join(value.split())) for name, value in product.attributes.items()
            if value.strip() and not says(product.title or "", value.strip())]  # fmt: skip


def _say(name: str, value: str, rng: np.random.Generator) -> str:
    normal = normal_name(name)
    phrases = PHRASES.get(SAME_NAMES.get(normal, normal))
    if phrases is None:
        return ANY_PHRASES[rng.integers(len(ANY_PHRASES))].format(name=spoken_name(name), value=value)
    return phrases[rng.integers(len(phrases))].format(value)


def _joined(facts: list[str], rng: np.random.Generator) -> str:
    """`a, b, c` or `a, b and c`."""
    if len(facts) > 1 and rng.random() < 0.5:
        return f"{', '.join(facts[:-1])} and {facts[-1]}"
    return ", ".join(facts)


def _with_synonym(head: str | None, kind: str | None, keep: list[str]) -> tuple[str | None, str | None, str | None]:
    """Title and kind with the product's own kind said by its synonym, outside of what must stay; and what was exchanged."""
    word = next((word for word in SYNONYMS if re.fullmatch(rf"{word}s?", kind or "", re.IGNORECASE)), None)
    if word is None:
        return head, kind, None
    stay = "|".join(map(re.escape, sorted(keep, key=len, reverse=True))) or r"(?!)"
    pattern = re.compile(rf"(?:{stay})|\b(?i:(?P<word>{word})(?P<s>s?))\b")

    def exchanged(match: re.Match[str]) -> str:
        if match["word"] is None:
            return match.group()
        new = SYNONYMS[word] if SYNONYMS[word].endswith("s") else SYNONYMS[word] + match["s"]
        return new.capitalize() if match["word"][0].isupper() else new

    head, kind = (pattern.sub(exchanged, part) if part else part for part in (head, kind))
    return head, kind, f"{word} → {SYNONYMS[word]}"
