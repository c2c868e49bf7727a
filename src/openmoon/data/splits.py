"""Who is trained on and who is held out: whole SPUs, and queries that never appear on two sides.

Membership follows from a hash of the seed and the id, so it does not depend on the order of the rows, and a product
keeps its place as long as the catalogue grows little.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from openmoon.config import SplitConfig
from openmoon.data.schema import SPLITS
from openmoon.errors import UserError
from openmoon.io import hash_number

# of equally many pairs, the side that must stay unseen wins
PRIORITY = {"test": 0, "val": 1, "train": 2}


def split_products(catalog: pl.DataFrame, config: SplitConfig) -> pl.DataFrame:
    """Divide the products into train, val and test; the products of one SPU stay together.

    `catalog` needs product_id and spu_id. `config.test` below 1 is a share of the products, otherwise their number;
    an SPU that would exceed it goes to another split. Under `by: given` the queries are divided, not the products:
    none is held out for the test, and `val` measures stage 1. Returns product_id, split in the catalogue's order.
    Raises `UserError` when a split comes out empty.
    """
    given = config.by == "given"
    total = catalog.height
    test = 0 if given else round(config.test * total) if isinstance(config.test, float) else config.test
    sizes = catalog.group_by("spu_id").len("size").sort("spu_id")
    side = np.full(sizes.height, "train", dtype=object)
    # each in its own order: were val what follows test in one order, a growing test would take over products of val
    for name, wanted, salt in (
        ("test", test, f"{config.seed}"),
        ("val", round(config.val * total), f"{config.seed}/val"),
    ):
        order = _draw(sizes["spu_id"], salt).arg_sort().to_numpy()
        free = order[side[order] == "train"]
        side[free[_take(sizes["size"].to_numpy()[free], wanted)]] = name
    spus = sizes.select("spu_id", pl.Series("split", side, pl.String))
    split = catalog.select("product_id", "spu_id").join(spus, on="spu_id", how="left", maintain_order="left")
    _require(split["split"], ("train", "val") if given else SPLITS,
             f"{total} products in {sizes.height} groups that stay together (data.split.together={config.together})")
    return split.select("product_id", "split")


def split_pairs(
    pairs: pl.DataFrame, products: pl.DataFrame, config: SplitConfig
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Give every query→item pair a split such that no query, by text or by photo, is on two sides.

    `pairs` needs query_text, query_look (equal for photos that look the same: `families.with_looks`), product_id (and split, for
    `by: given`); `products` is product_id, split.

    - `by: product`: a pair goes where its product is. A query then belongs to the split that holds most of its pairs
      (ties: test, val, train); its pairs elsewhere are dropped.
    - `by: given`: a pair goes where its label says. Logs without `test` rows: their `val` rows are the test, the final
      measurement. If that or the labels leave no validation split, the share `config.val` of the train queries becomes
      it, so that early stopping never looks at what is measured.

    Returns the pairs that are kept, with `split`, and counts: what happened → pairs. Raises `UserError` when a split
    comes out empty.
    """
    columns = [name for name in pairs.columns if name != "split"]
    known = pairs.join(products.select("product_id"), on="product_id", how="semi", maintain_order="left")
    if config.by == "given":
        placed = _given(known, config)
    else:
        placed = known.select(columns).join(products, on="product_id", how="left", maintain_order="left")
    counts = {"dropped, their product is not among the items": pairs.height - known.height}
    labelled = placed.filter(pl.col("split").is_not_null())
    counts["dropped, they have no split label"] = placed.height - labelled.height
    kept = labelled
    for column, what in (("query_text", "text"), ("query_look", "photo")):
        before = kept.height
        kept = _on_one_side(kept, column)
        counts[f"dropped, their query {what} belongs to another split"] = before - kept.height
    _require(kept["split"], SPLITS, f"{pairs.height} query→item pairs")
    counts |= {f"in {name}": kept.filter(split=name).height for name in SPLITS}
    return kept.select(*columns, "split"), {what: count for what, count in counts.items() if count}


def normalise_query(text: pl.Expr) -> pl.Expr:
    """One form for texts that a shopper would call the same: Unicode NFKC, lower case, single spaces."""
    return text.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def without_seen(queries: pl.DataFrame, seen: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Take away texts, and photos by their looks, that occur in `seen`; queries of which nothing is left go.

    Both tables need query_text, query_image_key and query_look. Returns the queries, and how many lost their words, and their
    photo.
    """
    lost = {}
    for column, what, same in (("query_text", "words", normalise_query(pl.col("query_text"))),
                               ("query_image_key", "photo", pl.col("query_look"))):  # fmt: skip
        used = same.is_in(seen.select(same).to_series().drop_nulls().unique().implode()).fill_null(False)
        lost[what] = queries.filter(used).height
        queries = queries.with_columns(pl.when(~used).then(pl.col(column)).alias(column))
    kept = queries.filter(pl.col("query_text").is_not_null() | pl.col("query_image_key").is_not_null())
    return kept, {what: count for what, count in lost.items() if count}


def _given(pairs: pl.DataFrame, config: SplitConfig) -> pl.DataFrame:
    if "split" not in pairs.columns or pairs["split"].is_null().all():
        raise UserError(
            "data.split.by=given: the events have no 'split' label (train, val or test); "
            "add the column or use data.split.by=product."
        )
    labels = set(pairs["split"].drop_nulls())
    if labels == {"train"}:
        raise UserError(
            "data.split.by=given: every event is labelled train; label those to measure on as test (or val), "
            "or use data.split.by=product."
        )
    if "test" not in labels:
        pairs = pairs.with_columns(pl.col("split").replace("val", "test"))
    if {"val", "test"} <= labels:
        return pairs
    query = pl.coalesce("query_look", normalise_query(pl.col("query_text"))).alias("query")
    queries = pairs.filter(split="train").select(query).unique()
    queries = queries.with_columns(_draw(queries["query"], f"{config.seed}")).sort("draw", "query")
    chosen = queries["query"].head(round(config.val * queries.height))
    held_out = (pl.col("split") == "train") & query.is_in(chosen.implode())
    return pairs.with_columns(pl.when(held_out).then(pl.lit("val")).otherwise("split").alias("split"))


def _on_one_side(pairs: pl.DataFrame, column: str) -> pl.DataFrame:
    """Keep the pairs that are on the side of their query; pairs without this kind of query stay."""
    query = normalise_query(pl.col("query_text")) if column == "query_text" else pl.col(column)
    keyed = pairs.with_columns(query.alias("_query"))
    side = (
        keyed.filter(pl.col("_query").is_not_null())
        .group_by("_query", "split").len("pairs")
        .with_columns(pl.col("split").replace_strict(PRIORITY, return_dtype=pl.Int8).alias("priority"))
        .sort("_query", -pl.col("pairs").cast(pl.Int64), "priority")
        .unique("_query", keep="first", maintain_order=True)
        .select("_query", pl.col("split").alias("_side"))
    )  # fmt: skip
    joined = keyed.join(side, on="_query", how="left", maintain_order="left")
    return joined.filter(pl.col("_side").is_null() | (pl.col("_side") == pl.col("split"))).drop("_query", "_side")


def _take(sizes: np.ndarray, wanted: int) -> np.ndarray:
    """Positions, in order, of groups whose sizes add up to `wanted` or as close below as the order allows."""
    taken, total = [], 0
    for position, size in enumerate(sizes.tolist()):
        if total + size <= wanted:
            taken.append(position)
            total += size
        if total == wanted:
            break
    return np.asarray(taken, np.int64)


def _draw(names: pl.Series, salt: str) -> pl.Series:
    """A uniform 64-bit number per name and salt."""
    return pl.Series("draw", [hash_number(f"{salt}/{name}") for name in names], pl.UInt64)


def _require(split: pl.Series, names: Sequence[str], what: str) -> None:
    for name in names:
        if name not in split:
            key = {"train": "val and data.split.test", "val": "val", "test": "test"}[name]
            change = "lower" if name == "train" else "raise"
            raise UserError(
                f"data.split: {what} leave the {name} split empty; {change} data.split.{key}, or bring more data."
            )
