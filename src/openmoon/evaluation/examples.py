"""Queries to look at: what each system brought back, some that the last one got right and some that it got wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from openmoon.evaluation.directions import Direction, make_directions, without_blanks
from openmoon.evaluation.encode import Encode, encode_table
from openmoon.topk import topk

SAMPLE = 200  # queries of a kind that examples are drawn from
_CHUNK = 4096


@dataclass(frozen=True)
class Hit:
    """A product that came back. `image` is a path; `correct` says whether it is labelled relevant for the query."""

    product_id: str
    title: str | None
    image: str | None
    score: float
    correct: bool


@dataclass(frozen=True)
class Example:
    """One query, the products that are right for it, and what each system returned, best first.

    `solved` says whether the last system put a right product first.
    """

    query_text: str | None
    query_image: str | None
    wanted: list[Hit]
    results: dict[str, list[Hit]]
    solved: bool


def find_examples(
    encoders: Mapping[str, Encode],
    queries: pl.DataFrame,
    items: pl.DataFrame,
    *,
    view: str = "rich+image",
    k: int = 6,
    each: int = 2,
    seed: int = 0,
) -> list[Example]:
    """Up to `each` solved and `each` unsolved queries of every kind (text, image, text+image) against one item view.

    Tables as in `evaluate_retrieval`. They are drawn at random out of `SAMPLE` queries of a kind, so they are typical
    and not chosen for their looks; `k` results are kept of each system that can compare the two.
    """
    items = without_blanks(items, ["title", "rich", "image"])
    labels = without_blanks(queries, ["query_text", "query_image"]).join(
        items, on="product_id", how="semi", maintain_order="left"
    )
    directions = make_directions(labels.unique(maintain_order=True), items, [view], SAMPLE, seed)
    rankings = {name: _rank(name, encode, directions, k) for name, encode in encoders.items()}
    examples = []
    for place, direction in enumerate(directions):
        ranked = {name: one for name, found in rankings.items() if (one := found[place]) is not None}
        examples += _examples(direction, ranked, items, each, np.random.default_rng(seed))
    return examples


Ranking = tuple[np.ndarray, np.ndarray]  # scores and pool rows, (Q, k) each


def _rank(name: str, encode: Encode, directions: Sequence[Direction], k: int) -> list[Ranking | None]:
    """The k best of each query; the directions share one pool, which is encoded once."""
    defined = [direction.defined_for(encode) for direction in directions]
    if not any(defined):
        return [None] * len(directions)
    vectors = encode_table(encode, directions[0].pool.inputs, name)
    found: list[Ranking | None] = []
    for direction, can in zip(directions, defined, strict=True):
        chunks = (vectors[start : start + _CHUNK] for start in range(0, len(vectors), _CHUNK))
        found.append(topk(encode_table(encode, direction.queries.inputs, name), chunks, k) if can else None)
    return found


def _examples(
    direction: Direction, ranked: Mapping[str, Ranking], items: pl.DataFrame, each: int, rng: np.random.Generator
) -> list[Example]:
    if not ranked:
        return []
    right = direction.pairs @ [len(direction.pool.inputs), 1]  # (query, item) as one number
    _, last = list(ranked.values())[-1]
    asked = rng.permutation(np.unique(direction.pairs[:, 0]))
    solved = np.isin(asked * len(direction.pool.inputs) + last[asked, 0], right)
    chosen = [*asked[solved][:each], *asked[~solved][:each]]
    return [_example(direction, ranked, items, int(query)) for query in chosen]


def _example(direction: Direction, ranked: Mapping[str, Ranking], items: pl.DataFrame, query: int) -> Example:
    asked = direction.queries.inputs.row(query, named=True)
    wanted = direction.pairs[direction.pairs[:, 0] == query, 1]
    results = {
        name: _hits(direction, items, rows[query], scores[query], wanted) for name, (scores, rows) in ranked.items()
    }
    return Example(
        query_text=asked.get("text"),
        query_image=asked.get("image"),
        wanted=_hits(direction, items, wanted, np.ones(len(wanted)), wanted),
        results=results,
        solved=list(results.values())[-1][0].correct,
    )


def _hits(
    direction: Direction, items: pl.DataFrame, rows: np.ndarray, scores: np.ndarray, wanted: np.ndarray
) -> list[Hit]:
    ids = pl.DataFrame({"product_id": direction.pool.product_ids[rows.tolist()]})
    shown = ids.join(items, on="product_id", how="left", maintain_order="left").select("product_id", "title", "image")
    correct = np.isin(rows, wanted)
    return [
        Hit(product_id, title, image, float(score), bool(right))
        for (product_id, title, image), score, right in zip(shown.iter_rows(), scores, correct, strict=True)
    ]
