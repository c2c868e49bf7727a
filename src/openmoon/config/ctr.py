"""What vectors are worth: prediction of choices from events and vectors."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from openmoon.config.section import Action, Fraction, Section
from openmoon.learnt import naive_utc

CtrModelName = Literal[
    "dnn", "din", "sim_hard", "sim_soft", "eta", "concat", "simtier", "make", "simtier_make", "sata", "cube", "muse",
    "semantic_ids", "cube_ipw", "cube_debias",
]  # fmt: skip


class TimeSplitConfig(Section):
    """Train, then val, then test, in order of time: shares of the impressions, or the moments when val and test begin.

    Impressions in the last `gap` hours before each border are left out, since what came of them may not be known yet.
    """

    val: Fraction | datetime = 0.1
    """Share of the impressions, above 0 and below 1, or the moment when validation begins."""
    test: Fraction | datetime = 0.2
    """Likewise for the test."""
    gap: float = Field(1.0, ge=0)
    """Hours before each border that are left out."""

    @field_validator("val", "test", mode="before")
    @classmethod
    def _a_share_is_within_bounds(cls, value: object) -> object:
        if isinstance(value, int | float) and not 0 < value < 1:
            raise ValueError("expected a share above 0 and below 1, or a moment such as 2025-04-13")
        return value

    @field_validator("val", "test")
    @classmethod
    def _without_zone(cls, begin: float | datetime) -> float | datetime:
        return naive_utc(begin) if isinstance(begin, datetime) else begin


class CtrDebiasConfig(Section):
    """The debiasing network: often shown products are drawn towards rarely shown ones that look alike."""

    alpha: float = Field(0.1, ge=0)
    """Weight of its loss beside the prediction's; 0 keeps the network and drops the loss."""
    head: Fraction = 0.2
    """Share of the products that count as often shown."""
    tail: Fraction = 0.5
    """And as rarely shown."""
    temperature: float = Field(0.1, gt=0)
    """Of the contrast between products."""
    per_step: int = Field(256, ge=2)
    """Pairs of a head and a tail product in a step."""


class SemanticIdsConfig(Section):
    """Codes of products by residual k-means on their vectors."""

    levels: int = Field(3, ge=1, le=8)
    """Codes per product."""
    codes: int = Field(64, ge=2)
    """Per level."""


class CtrConfig(Section):
    """Which models predict, from what, and how they are trained. Every model and seed sees the same impressions."""

    layout: Literal["shop", "taobao-mm"] = "shop"
    """taobao-mm: data.root is a folder of that data set, not of a shop."""
    models: list[CtrModelName] = Field(["dnn", "din", "concat", "simtier", "cube"], min_length=1)
    """What is trained; din is what gains are measured against."""
    seeds: list[Annotated[int, Field(ge=0, lt=2**63, strict=True)]] = Field([0, 1, 2], min_length=1)
    """Every model is trained under each."""
    label: Action = "click"
    """The action that is predicted."""
    split: TimeSplitConfig = TimeSplitConfig()

    vectors: Path | None = None
    """Table of products; default: <workdir>/vectors.parquet."""
    query_vectors: Path | None = None
    """Table of queries; default: <workdir>/query_vectors.parquet, where it exists."""
    truth: Path | None = None
    """Of a simulated log, below data.root: uniform, p_true and, if there, row; read by evaluation alone."""

    behaviours: list[Action] = Field(["click", "cart", "purchase"], min_length=1)
    """Which actions make up a shopper's history."""
    queries: bool = True
    """Past queries are behaviours too."""
    length: int = Field(50, ge=1, le=10_000)
    """Of the behaviour sequence: the latest before the request."""
    search: int = Field(50, ge=1)
    """Behaviours that models with a search stage keep for the exact one."""
    min_count: int = Field(3, ge=1)
    """Training impressions below which an id is unknown."""
    position: bool = False
    """Learn what the place on the page adds, and leave it out when predicting."""

    dim: int = Field(16, ge=1, le=4096)
    """Of each id embedding."""
    hidden: list[Annotated[int, Field(ge=1, le=65_536)]] = Field([256, 128], min_length=1)
    """Widths of the prediction network."""
    attention: int = Field(64, ge=1, le=65_536)
    """Width of the attention network of DIN."""
    tiers: int = Field(20, ge=2, le=10_000)
    """Of SimTier, over cosines from -1 to 1."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """In the prediction network."""

    batch_size: int = Field(512, ge=1)
    """Impressions; requests of up to 16 are kept together."""
    epochs: int = Field(1, ge=1)
    """Passes; of several the one with the best validation AUC is kept."""
    make_epochs: int = Field(10, ge=1)
    """Of MAKE's content model, before it joins."""
    lr: float = Field(2e-3, gt=0)
    """Adam's rate."""
    weight_decay: float = Field(0.0, ge=0)
    """Adam's."""
    weigh_exposure: float = Field(20.0, ge=1)
    """cube_ipw: inverse propensity weights, at most so large."""
    debias: CtrDebiasConfig = CtrDebiasConfig()
    semantic_ids: SemanticIdsConfig = SemanticIdsConfig()
    checkpoint_every: int = Field(2000, ge=1)
    """Steps."""

    @model_validator(mode="after")
    def _once(self) -> CtrConfig:
        for name, values in (("models", self.models), ("seeds", self.seeds)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} names something twice")
        return self

    @model_validator(mode="after")
    def _fits_layout(self) -> CtrConfig:
        if self.layout == "taobao-mm":
            for name in ("truth", "query_vectors"):
                if getattr(self, name) is not None:
                    raise ValueError(f"layout taobao-mm has no {name}; leave it out")
            if isinstance(self.split.val, datetime):
                raise ValueError("layout taobao-mm has no moments; give split.val as a share of the training samples")
        return self
