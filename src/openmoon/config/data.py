"""What a run reads, and what evaluation and embedding take of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from openmoon.config.section import Fraction, Section, View


class SplitConfig(Section):
    """How products and queries are divided.

    `product` holds whole SPUs out. `given` uses the `split` column of events: with train, val and test labels, val decides
    early stopping and test is measured; with train and val only, val is measured and the share `val` of the train queries
    decides early stopping. No product is held out then.
    """

    by: Literal["product", "given"] = "product"
    val: Fraction = 0.1
    test: Fraction | int = 0.2  # a share, or a number of products
    seed: int = 0
    together: Literal["spu", "look-alikes"] = "look-alikes"  # products that share a picture count as one SPU, or not


class DataConfig(Section):
    """The three tables, as paths below `root`, and how foreign column names map onto ours (ours: theirs)."""

    root: Path = Path()
    catalog: Path = Path("catalog.parquet")
    events: Path | None = None
    creatives: Path | None = None
    queries: Path | None = None  # labelled queries for evaluation only: query_text, query_image, product_id
    columns: dict[Literal["catalog", "events", "creatives"], dict[str, str]] = Field({})
    attributes: list[str] = Field([])  # catalogue columns gathered into the attributes of a product
    split: SplitConfig = SplitConfig()
    cache: Path | None = None  # decoded images and frozen tokens; default: <workdir>/cache


class EvaluateConfig(Section):
    """Which items are ranked (`test` = held-out products only) and how many queries at most are asked."""

    pool: Literal["test", "all"] = "test"
    max_queries: int = Field(20000, ge=1)


class EmbedConfig(Section):
    """Catalogue → vectors table."""

    view: View = "rich+image"
    batch_size: int = Field(32, ge=1)
