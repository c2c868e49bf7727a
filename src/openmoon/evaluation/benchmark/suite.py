"""A suite: one data set in the form that every task of the benchmark reads, whatever layout it came in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from openmoon.config import SplitConfig
from openmoon.data.image_cache import ImageCache
from openmoon.io import content_hash

POOL = ("product_id", "title", "image")
QUERIES = ("query_text", "query_image", "product_id")
EXAMPLES = ("example_id", "title", "image", "category", "split")


@dataclass(frozen=True)
class Suite:
    """What is measured. All columns are strings, pictures are full paths, any part but an id may be null.

    `pool` (product_id, title, image) are the candidates: the test part. `queries` (query_text, query_image, product_id) are
    labelled with products of the pool. `examples` (example_id, title, image, category, split) are what is classified: those
    of `split` "test" are measured, those of "train" teach the probes. `attributes` has a row per example and a column per
    attribute, null where it is not known; it may have no column.

    `own` names the parts, of "text" and "image", in which a query shows the item's own text or picture: finding it again by
    that part is no achievement. `are_products` says whether the ids of examples are product ids, so that a table of vectors
    can be looked up. `split` is how products were held out, where it was drawn here, and `compared_at` the side (pixels) of
    the pictures of which it kept look-alikes together; `notes` is what a reader should know.
    """

    name: str
    pool: pl.DataFrame
    queries: pl.DataFrame
    examples: pl.DataFrame
    attributes: pl.DataFrame
    own: frozenset[str] = frozenset()
    are_products: bool = True
    split: SplitConfig | None = None
    compared_at: int | None = None
    notes: tuple[str, ...] = ()
    revision: str = ""

    def pictures(self) -> list[Path]:
        """The distinct pictures of all tables."""
        columns = [self.pool["image"], self.queries["query_image"], self.examples["image"]]
        return [Path(path) for path in pl.concat([c.alias("image") for c in columns]).drop_nulls().unique(maintain_order=True)]


def own_queries(pool: pl.DataFrame) -> pl.DataFrame:
    """Where nobody asks: products are asked for by their own titles and pictures."""
    return pool.select(query_text="title", query_image="image", product_id="product_id")


def settle(suite: Suite, images: ImageCache, advance: Callable[[int], object] = lambda done: None) -> Suite:
    """The suite without the pictures that cannot be read, counted in its notes, so that every encoder gets the same parts.

    `revision` becomes the hash, 16 hex digits, of all that is measured: texts, labels, splits and the content of pictures.
    """
    paths = suite.pictures()
    unreadable = images.fill(paths, progress=advance)
    keys = {str(path): key for path, key in zip(paths, images.readable(paths), strict=True)}
    paths_kept = {path: path for path, key in keys.items() if key is not None}
    columns = {"pool": "image", "queries": "query_image", "examples": "image"}
    tables = {
        name: getattr(suite, name).with_columns(pl.col(column).replace_strict(paths_kept, default=None, return_dtype=pl.String))
        for name, column in columns.items()
    }
    asked = pl.col("query_text").is_not_null() | pl.col("query_image").is_not_null()
    queries = tables["queries"].filter(asked)
    notes = list(suite.notes)
    if unreadable:
        path, reason = next(iter(unreadable.items()))
        notes.append(f"{len(unreadable):,} pictures cannot be read and count as missing, such as {path.name} ({reason})")
    if lost := tables["queries"].height - queries.height:
        notes.append(f"{lost:,} queries are left out: no text, and their picture cannot be read")
    settled = replace(suite, **tables | {"queries": queries}, notes=tuple(notes))
    content = [
        getattr(settled, name).with_columns(pl.col(column).replace_strict(keys, default=None, return_dtype=pl.String))
        for name, column in columns.items()
    ]
    return replace(settled, revision=content_hash(*(t.write_ndjson() for t in (*content, suite.attributes)))[:16])
