"""Suites `sample` and `fashion`: shops in our own tables, products held out as the recipes of these names hold them out.

`sample` is what `openmoon data sample` writes; its queries and attributes are the simulation's truth. `fashion` is what
`openmoon data import fashion` writes, or `openmoon data simulate` on top of it: with simulated shoppers the queries are
theirs, without them a product's own title and picture look for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from openmoon.config import DataConfig, SplitConfig
from openmoon.data.attributes import members
from openmoon.data.families import split_catalog, with_looks
from openmoon.data.image_cache import ImageCache
from openmoon.data.pairs.behaviour import behaviour_pairs, with_one_name
from openmoon.data.pairs.taught import taught_queries
from openmoon.data.shop import Shop, load_shop
from openmoon.data.splits import without_seen
from openmoon.data.tables import read_parquet
from openmoon.data.text import item_texts
from openmoon.errors import UserError
from openmoon.evaluation.benchmark.suite import EXAMPLES, POOL, QUERIES, Suite, own_queries
from openmoon.evaluation.benchmark.suites.records import attribute_table

TRUTH = "truth/queries.parquet"
SAMPLE_SPLIT, SAMPLE_SIDE = SplitConfig(val=0.1, test=0.25), 128  # of recipes/sample.yaml, with the pixels it compares
FASHION_SPLIT, FASHION_SIDE = SplitConfig(val=0.05, test=1000), 160  # of recipes/fashion.yaml
SMALL = 5000  # products from which a thousand are held out; of fewer a fifth
SAMPLE_ATTRIBUTES = ["colour", "material", "pattern", "brand"]


def read_sample(folder: Path, scratch: Path, advance: Callable[[int], object]) -> Suite:
    """A shop made by `openmoon data sample`: catalog.parquet, events.parquet, truth/{products,queries}.parquet."""
    shop = _load(folder, "`openmoon data sample`")
    truth = read_parquet(folder / "truth" / "products.parquet")
    attributes = shop.catalog.select("product_id").join(truth, on="product_id", how="left", maintain_order="left")
    return _suite("sample", shop, attributes.select(SAMPLE_ATTRIBUTES), SAMPLE_SPLIT, SAMPLE_SIDE, scratch, advance)


def read_fashion(folder: Path, scratch: Path, advance: Callable[[int], object]) -> Suite:
    """A catalogue made by `openmoon data import fashion`, or a folder made by `openmoon data simulate` on it."""
    shop = _load(folder, "`openmoon data import fashion`")
    attributes, notes = attribute_table(members(shop.catalog["attributes"]))
    if not attributes.width or shop.catalog["category"].null_count() == shop.catalog.height:
        raise UserError(f"{folder / 'catalog.parquet'}: has no category or no attributes; "
                        "make it with `openmoon data import fashion DOWNLOAD FOLDER`.")  # fmt: skip
    split = FASHION_SPLIT if shop.catalog.height >= SMALL else FASHION_SPLIT.model_copy(update={"test": 0.2})
    suite = _suite("fashion", shop, attributes, split, FASHION_SIDE, scratch, advance)
    return replace(suite, notes=(*suite.notes, *notes))


def _load(folder: Path, maker: str) -> Shop:
    if not (folder / "catalog.parquet").is_file():
        raise UserError(f"{folder}: has no catalog.parquet; --data takes a folder that {maker} made.")
    there = {name: Path(path) for name, path in (("events", "events.parquet"), ("queries", TRUTH)) if (folder / path).is_file()}
    return load_shop(DataConfig.model_validate({"root": folder, **there}))


def _suite(
    name: str, shop: Shop, attributes: pl.DataFrame, split: SplitConfig, side: int, scratch: Path,
    advance: Callable[[int], object],
) -> Suite:  # fmt: skip
    images = ImageCache(scratch, side)
    titled = item_texts(shop.catalog).select("product_id", "title")
    keyed = shop.catalog.drop("title").join(titled, on="product_id", how="left", maintain_order="left")
    keyed = _with_keys(keyed, "image", shop, images, advance)
    sides = split_catalog(keyed, images, split)
    items = keyed.join(sides, on="product_id", how="left", maintain_order="left")
    items = items.with_columns(image=shop.image_paths(pl.col("image")), example_id=pl.col("product_id"))
    pool = items.filter(split="test").select(POOL)
    measured = (items["split"] != "val").to_numpy()
    examples, attributes = items.filter(measured), attributes.filter(measured)
    taught = items.select("product_id", "split")
    notes = [f"{shop.rejected.height:,} rows of its tables are rejected"] if len(shop.rejected) else []
    queries, asked = _queries(shop, pool, lambda table: _with_keys(table, "query_image", shop, images, advance),
                              lambda *tables: with_looks(tables, images, split), taught, split)  # fmt: skip
    return Suite(
        name, pool, queries, examples.select(EXAMPLES), attributes, split=split, compared_at=side, notes=(*notes, *asked),
        own=frozenset() if shop.queries is not None else frozenset({"text", "image"}),
    )  # fmt: skip


def _queries(
    shop: Shop, pool: pl.DataFrame, keyed: Callable[[pl.DataFrame], pl.DataFrame],
    looked: Callable[..., list[pl.DataFrame]], products: pl.DataFrame, split: SplitConfig,
) -> tuple[pl.DataFrame, list[str]]:  # fmt: skip
    """Queries for products of the pool, without words and photos that an encoder may have been taught by: those that
    `split_pairs` puts on the side of train or val, whichever of the `LEARNT` actions count."""
    if shop.queries is None:
        return own_queries(pool), ["there are no shoppers: the queries are the products' own titles and pictures"]
    labelled = shop.queries.join(pool, on="product_id", how="semi", maintain_order="left")
    found, notes = keyed(labelled), []
    if shop.events is not None:
        events = shop.events

        def chosen(actions: Sequence[str]) -> pl.DataFrame:
            return looked(with_one_name(keyed(behaviour_pairs(events, actions))))[0]

        taught = taught_queries(chosen, products, split)
        found, lost = without_seen(*looked(found, taught))
        notes = [f"{count:,} of {len(labelled):,} labelled queries lose their {what}: shoppers used it for products "
                 "outside the test part" for what, count in lost.items()]  # fmt: skip
    return found.with_columns(query_image=shop.readable_paths("query_image")).select(QUERIES), notes


def _with_keys(
    table: pl.DataFrame, column: str, shop: Shop, images: ImageCache, advance: Callable[[int], object]
) -> pl.DataFrame:
    """`Shop.with_keys` after what is missing was decoded."""
    names = table[column].drop_nulls().unique(maintain_order=True).to_list()
    images.fill([shop.image_path(name) for name in names], progress=advance)
    return shop.with_keys(table, column, images)

