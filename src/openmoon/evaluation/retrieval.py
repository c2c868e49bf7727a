"""Retrieval: queries of text, picture and both against each view of the items, every system on the same candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import polars.selectors as cs
import torch
from rich.progress import Progress

from openmoon.device import compute_device, device_name
from openmoon.errors import UserError
from openmoon.evaluation.bm25 import count_better_bm25
from openmoon.evaluation.directions import Direction, make_directions, without_blanks
from openmoon.evaluation.encode import Encode, encode_table
from openmoon.evaluation.metrics import chance_metrics, expected_metrics
from openmoon.evaluation.ranking import retrieval_metrics
from openmoon.evaluation.results import Cell, RetrievalResult
from openmoon.io import content_hash
from openmoon.runtime import machine, versions
from openmoon.space import effective_rank

DEFAULT_VIEWS = ("rich", "image", "rich+image")
CHANCE, BM25 = "chance", "BM25"
Metrics = dict[str, float] | None  # None: not defined for this system


def evaluate_retrieval(
    encoders: Mapping[str, Encode],
    queries: pl.DataFrame,
    items: pl.DataFrame,
    *,
    recipe: dict[str, Any],
    split: str,
    data_hash: str,
    seed: int = 0,
    views: Sequence[str] = DEFAULT_VIEWS,
    fingerprints: Mapping[str, str] | None = None,
    max_queries: int = 20_000,
    progress: bool = False,
    device: torch.device | None = None,
) -> RetrievalResult:
    """Rank `items` for labelled `queries` with every encoder, BM25 (where both sides have text) and chance.

    Args:
        encoders: name → `Encode`, such as untuned, stage 1, stage 2; shown in this order.
        queries: query_text, query_image, product_id (String; texts and pictures may be null). A query with several
            rows has several right products; each is an instance whose ranking leaves the others out.
        items: product_id (unique), title, rich, image (a path); any but the id may be null.
        recipe, split, data_hash, seed, fingerprints: copied into the result; `seed` also draws the sample of queries.
        views: names of `ITEM_VIEWS`. A pool holds the products that have at least one part of the view.
        max_queries: distinct queries of each kind; of more a random sample is asked.
        progress: draw a progress bar while encoding.
        device: what the result says that the encoders computed on; default: what `compute_device` says.

    Raises:
        UserError: no query asks for a product of the pool, or an encoder's vectors are not finite.
    """
    if reserved := {CHANCE, BM25} & set(encoders):
        raise ValueError(f"the encoder name {reserved.pop()!r} is taken")
    items = without_blanks(items, ["title", "rich", "image"])
    labels = without_blanks(queries, ["query_text", "query_image"]).unique(maintain_order=True)
    known = labels.join(items, on="product_id", how="semi", maintain_order="left")
    directions = make_directions(known, items, views, max_queries, seed)
    if not directions:
        raise UserError(
            f"evaluation: none of the {len(labels):,} labelled queries of the {split} split asks for one of the "
            f"{len(items):,} products to be ranked; check the split and the product ids."
        )
    found = compare(encoders, directions, progress)
    return RetrievalResult(
        recipe=recipe,
        split=split,
        data_hash=data_hash,
        seed=seed,
        versions=versions(),
        machine=machine() | {"device": device_name(device or compute_device())},
        pool=len(items),
        labels=len(labels),
        unknown_products=len(labels) - len(known),
        systems=found.systems,
        encoders=dict(fingerprints or {}),
        questions=questions_hash(queries, items),
        cells=found.cells,
        effective_ranks=found.effective_ranks,
    )


def questions_hash(queries: pl.DataFrame, items: pl.DataFrame) -> str:
    """Identity of what is asked among what, 16 hex digits, wherever the pictures lie; tables as in `evaluate_retrieval`."""
    asked = queries.select(name for name in ("query_text", "query_image", "product_id") if name in queries.columns)
    asked = asked.with_columns(cs.by_name("query_image", require_all=False).str.split("/").list.last())
    return content_hash(asked.write_ndjson(), *items["product_id"])[:16]


class Comparison(NamedTuple):
    """The names of all systems, a cell per direction, and of every encoder's item vectors the effective rank per view."""

    systems: list[str]
    cells: list[Cell]
    effective_ranks: dict[str, dict[str, float]]


def compare(
    encoders: Mapping[str, Encode], directions: Sequence[Direction], progress: bool = False
) -> Comparison:
    """Chance, BM25 where any direction has text on both sides, and every encoder."""
    systems: dict[str, list[Metrics]] = {CHANCE: [chance_metrics(direction.candidates) for direction in directions]}
    if any("text" in direction.shared for direction in directions):
        systems[BM25] = [_bm25(direction) if "text" in direction.shared else None for direction in directions]
    ranks: dict[str, dict[str, float]] = {}
    with Progress(disable=not progress) as bar:
        for name, encode in encoders.items():
            systems[name], ranks[name] = _evaluate_encoder(name, encode, directions, bar)
    cells = [
        Cell(
            query=direction.queries.kind,
            item=direction.pool.view,
            pool=len(direction.pool.inputs),
            queries=len(np.unique(direction.pairs[:, 0])),
            pairs=len(direction.pairs),
            left_out=direction.left_out,
            metrics={name: found[place] for name, found in systems.items()},
        )
        for place, direction in enumerate(directions)
    ]
    return Comparison(list(systems), cells, ranks)


def _evaluate_encoder(
    name: str, encode: Encode, directions: Sequence[Direction], bar: Progress
) -> tuple[list[Metrics], dict[str, float]]:
    """Metrics of one encoder for each direction, and the effective rank of its items under each view. Queries of a kind and
    items of a view are encoded once."""
    defined = [direction for direction in directions if direction.defined_for(encode)]
    kinds = {direction.queries.kind: direction.queries for direction in defined}
    pools = {direction.pool.view: direction.pool for direction in defined}
    total = sum(len(queries.inputs) for queries in kinds.values()) + sum(len(pool.inputs) for pool in pools.values())
    task = bar.add_task(f"Encoding for evaluation, {name}", total=total)

    def vectors(inputs: pl.DataFrame) -> np.ndarray:
        return encode_table(encode, inputs, name, lambda done: bar.advance(task, done))

    query_vectors = {kind: vectors(queries.inputs) for kind, queries in kinds.items()}
    found: dict[tuple[str, str], Metrics] = {}
    ranks: dict[str, float] = {}
    for view, pool in pools.items():
        item_vectors = vectors(pool.inputs)
        ranks[view] = effective_rank(torch.from_numpy(item_vectors))
        for direction in defined:
            if direction.pool is pool:
                kind = direction.queries.kind
                found[kind, view] = retrieval_metrics(query_vectors[kind], item_vectors, direction.pairs)
    return [found.get((direction.queries.kind, direction.pool.view)) for direction in directions], ranks


def _bm25(direction: Direction) -> dict[str, float]:
    queries, items = direction.queries.inputs["text"], direction.pool.inputs["text"].fill_null("")
    return expected_metrics(*count_better_bm25(queries.to_list(), items.to_list(), direction.pairs))
