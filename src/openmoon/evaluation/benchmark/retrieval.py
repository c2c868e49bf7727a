"""The five directions of MOON2.0's benchmark: t→mm, i→mm, mm→mm, t→i, i→t (t text, i image, mm both)."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from openmoon.errors import UserError
from openmoon.evaluation.benchmark.suite import Suite
from openmoon.evaluation.benchmark.system import System
from openmoon.evaluation.directions import ITEM_VIEWS, QUERY_KINDS, Direction, make_directions, without_blanks
from openmoon.evaluation.results import Cell, ranks_in_words
from openmoon.evaluation.retrieval import compare

FIVE = {
    ("text", "title+image"): "t→mm",
    ("image", "title+image"): "i→mm",
    ("text+image", "title+image"): "mm→mm",
    ("text", "image"): "t→i",
    ("image", "title"): "i→t",
}  # (query kind, item view): name
MAX_QUERIES = 20_000  # of each kind; of more a random sample is asked


def retrieval_task(
    systems: Sequence[System], suite: Suite, seed: int = 0, progress: bool = False
) -> tuple[list[str], list[Cell], list[str]]:
    """Names of the systems (chance, BM25, then `systems`), a cell for each direction, and in words what was left out and why, and
    the effective rank of each encoder's vectors of the pool.

    A direction in which query and item share a part that is the item's own (`Suite.own`) is left out: it is found by being
    equal. Tables of vectors hold products, not queries, so nothing is defined for them. An item of a pool of both parts has
    at least one of them.
    """
    directions, notes = _directions(suite, seed)
    names, cells, ranks = compare({s.name: s.encode for s in systems if s.encode is not None}, directions, progress)
    notes += [f"{name}: effective rank of the pool's vectors: {ranks_in_words(views)}" for name, views in ranks.items() if views]
    without = [system.name for system in systems if system.encode is None]
    cells = [cell.model_copy(update={"metrics": cell.metrics | dict.fromkeys(without)}) for cell in cells]
    return [name for name in names if name not in {s.name for s in systems}] + [s.name for s in systems], cells, notes


def _directions(suite: Suite, seed: int) -> tuple[list[Direction], list[str]]:
    items = without_blanks(suite.pool, ["title", "image"])
    labels = without_blanks(suite.queries, ["query_text", "query_image"]).unique(maintain_order=True)
    known = labels.join(items, on="product_id", how="semi", maintain_order="left")
    views = list(dict.fromkeys(view for _, view in FIVE))
    made = {(d.queries.kind, d.pool.view): d for d in make_directions(known, items, views, MAX_QUERIES, seed)}
    if not made:
        raise UserError(
            f"suite {suite.name}: none of its {len(labels):,} queries asks for one of the {len(items):,} products of the pool."
        )
    notes = []
    if lost := len(labels) - len(known):
        notes.append(f"{lost:,} labelled queries are left out: their product is not in the pool")
    for pair, name in FIVE.items():
        own = suite.own & set(QUERY_KINDS[pair[0]]) & set(ITEM_VIEWS[pair[1]])
        if pair not in made:
            notes.append(f"{name} is left out: no query of this kind has a product with this view")
        elif own:
            notes.append(f"{name} is left out: the query shows the item's own {' and '.join(sorted(own))}")
            del made[pair]
    if mixed := items.filter(pl.any_horizontal(pl.col("title", "image").is_null())).height:
        notes.append(f"{mixed:,} products of the pool have only a title or only a picture; in mm they are shown by that")
    return [made[pair] for pair in FIVE if pair in made], notes
