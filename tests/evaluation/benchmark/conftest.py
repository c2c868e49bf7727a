"""A toy suite that can be answered by hand, and an encoder that knows its words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from openmoon.evaluation.benchmark.suite import EXAMPLES, POOL, QUERIES, Suite

WORDS = ["red", "blue", "boot", "hat", "mug"]
STRINGS = dict.fromkeys((*POOL, *QUERIES, *EXAMPLES), pl.String)


class Bags:
    """Bags of words; a picture is called by the words it shows, joined by _."""

    def __call__(self, inputs: list[dict[str, str]]) -> np.ndarray:
        bags = [" ".join(one.values()).replace("_", " ").lower().split() for one in inputs]
        vectors = np.array([[bag.count(word) for word in WORDS] for bag in bags], np.float32) + 1e-3
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def table(columns: tuple[str, ...], rows: list[tuple[str | None, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, {name: STRINGS[name] for name in columns}, orient="row")


@pytest.fixture
def suite() -> Suite:
    """Three products measured and 21 that teach, one of them a mug; d has no picture, e no title."""
    test = [
        ("c", "my Boot red", "red_boot", "shoes > boot", "test"),
        ("d", "blue hat", None, "hat", "test"),
        ("e", None, "blue_mug", "mug", "test"),
    ]
    kinds, colours = {"boot": "shoes > boot", "hat": "hat"}, ("red", "blue")
    train = [
        (f"t{number}", f"{colour} {kind}", f"{colour}_{kind}", category, "train")
        for number, (colour, (kind, category)) in enumerate(((c, k) for c in colours for k in kinds.items()), 0)
        for _ in range(5)
    ]
    scarce = ("t-mug", "red mug", "red_mug", "mug", "train")
    examples = table(EXAMPLES, [*test, *train, scarce])
    colour = examples.select(pl.coalesce("image", "title").str.extract("(red|blue)").alias("colour"))
    pool = table(POOL, [row[:3] for row in test])
    queries = table(QUERIES, [("boot", None, "c"), ("hat", None, "d"), (None, "blue_mug", "e"), ("red", "red_boot", "c"),
                              ("lost", None, "t0")])  # fmt: skip
    return Suite("toy", pool, queries, examples, colour)


@pytest.fixture
def bags() -> Callable[[list[dict[str, str]]], np.ndarray]:
    return Bags()
