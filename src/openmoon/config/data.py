"""What a run reads, and what evaluation and embedding take of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeInt, field_validator, model_validator

from openmoon.config.section import Fraction, Section, View
from openmoon.learnt import naive_utc

Precision = Literal["float32", "bfloat16"]


class SplitConfig(Section):
    """How products and queries are divided.

    `product` holds whole SPUs out. `given` uses the `split` column of events: with train, val and test labels, val decides
    early stopping and test is measured; where val or test is missing, the other is measured and the share `val` of the train
    queries decides early stopping. No product is held out of stage 2 then; of stage 1 the share `val` is, for early stopping.
    """

    by: Literal["product", "given"] = "product"
    """Hold out products, or take the labels of the events (given): val decides when stage 2 stops and test is measured; where one
    of the two is missing, the other is measured and the share val of the train queries decides."""
    val: Fraction = 0.1
    """Share of the products (given: in stage 2 of the train queries, unless they are labelled) that decides early stopping;
    above 0, since no split may be empty."""
    test: Fraction | NonNegativeInt = 0.2
    """A share, or a number of products; above 0, since no split may be empty."""
    seed: int = 0
    """Another one holds out other products."""
    together: Literal["spu", "look-alikes"] = "look-alikes"
    """look-alikes: products whose pictures look the same stay in one split, as those of one SPU do, and photos of queries that
    look the same are one query; spu: only products of one SPU."""

    @property
    def by_looks(self) -> bool:
        """Whether what looks the same stays together: where the split is ours, not given."""
        return self.by == "product" and self.together == "look-alikes"


class DataConfig(Section):
    """The three tables, as paths below `root`, and how foreign column names map onto ours (ours: theirs)."""

    root: Path = Path()
    """Folder below which the tables are; relative to where the command runs."""
    catalog: Path = Path("catalog.parquet")
    """The products: Parquet, a folder of it, CSV or TSV."""
    events: Path | None = None
    """What shoppers saw, searched for and chose; without it set posttrain: null, stage 1 alone."""
    until: datetime | None = None
    """Events at or after this moment are neither learnt from nor evaluated on; UTC without a zone."""
    creatives: Path | None = None
    """Ad pictures; they are checked."""
    queries: Path | None = None
    """Labelled queries for evaluation only: query_text, query_image, product_id."""
    columns: dict[Literal["catalog", "events", "creatives", "queries"], dict[str, str]] = Field({})
    """Names of your columns, by table, ours first: {catalog: {product_id: sku}}."""
    attributes: list[str] = Field([])
    """Catalogue columns gathered into the attributes of a product."""
    split: SplitConfig = SplitConfig()
    cache: Path | None = None
    """Decoded images and frozen tokens; default: <workdir>/cache."""

    @field_validator("attributes")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"{twice!r} is named twice")
        return names

    @field_validator("until")
    @classmethod
    def _utc(cls, moment: datetime | None) -> datetime | None:
        return naive_utc(moment) if moment else None

    @model_validator(mode="after")
    def _until_has_events(self) -> DataConfig:
        if self.until is not None and self.events is None:
            raise ValueError("until says which events are learnt from, but there is no events table; name it in data.events, or "
                             "leave until out")  # fmt: skip
        return self


class EvaluateConfig(Section):
    """Which items are ranked (`test` = held-out products only) and how many queries at most are asked."""

    pool: Literal["test", "all"] = "test"
    """What is ranked: the held-out products or the whole catalogue."""
    max_queries: int = Field(20000, ge=1)
    """Of each kind; of more a random sample is asked."""


class EmbedConfig(Section):
    """Catalogue → vectors table, and queries of the events → another."""

    view: View = "rich+image"
    """The parts of a product that its vector is made of."""
    queries: bool = False
    """Also write query_vectors.parquet: every query of the events, those after data.until too."""
    batch_size: int = Field(32, ge=1)
    """Inputs of a batch; on a CPU each core computes one. `openmoon data augment` takes it, too."""
    precision: Precision = "float32"
    """Of the trunks on a CPU; bfloat16 is faster where the processor computes in it (AMX, AVX512-BF16)."""
