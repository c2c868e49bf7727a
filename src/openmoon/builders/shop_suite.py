"""A shop of one's own as a suite of the benchmark: whatever encoder, on what the shop's recipe holds out."""

from __future__ import annotations

import polars as pl

from openmoon.builders.held_out import can_evaluate, held_out_items, held_out_queries
from openmoon.builders.workspace import Workspace, open_workspace
from openmoon.config import Recipe
from openmoon.data.attributes import members
from openmoon.evaluation.benchmark.suite import EXAMPLES, POOL, QUERIES, Suite, own_queries
from openmoon.evaluation.benchmark.suites.records import attribute_table


def shop_suite(recipe: Recipe) -> Suite:
    """The products, queries and labels that `recipe` holds out, named after it.

    Candidates and queries are those of `openmoon evaluate`; where nobody searched, products are asked for by their own titles
    and pictures. What is classified are the products of the test split, by category and attributes; those of the training split
    teach the probes. Where queries are divided instead of products, nothing is classified.
    """
    work = open_workspace(recipe, labels=True)
    pool = held_out_items(work).select(POOL)
    logged = can_evaluate(work.shop)
    queries = held_out_queries(work).select(QUERIES) if logged else own_queries(pool)
    examples, attributes, notes = _labelled(work)
    own = frozenset() if logged else frozenset({"text", "image"})
    if not logged:
        notes.append("nobody searched: the queries are the products' own titles and pictures")
    return Suite(recipe.name, pool, queries, examples, attributes, own=own, split=recipe.data.split,
                 compared_at=recipe.encoder.image.size, notes=tuple(notes))  # fmt: skip


def _labelled(work: Workspace) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    held_out = work.recipe.data.split.by == "product"
    measured = work.items.filter(pl.col("split") != "val" if held_out else pl.lit(False))
    examples = measured.with_columns(example_id=pl.col("product_id"), image=work.shop.readable_paths("image")).select(EXAMPLES)
    products = measured.select("product_id").join(work.shop.catalog, on="product_id", how="left", maintain_order="left")
    return examples, *attribute_table(members(products["attributes"]))
