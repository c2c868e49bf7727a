"""Pairs as training takes them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from openmoon.config import Action, PosttrainConfig, Spare
from openmoon.console import console
from openmoon.data.lists import Lists
from openmoon.data.pairs.beside import MANY, also_chosen, answers_of, chosen_in_visits
from openmoon.data.views import Column, Parts, codes
from openmoon.training.posttrain import Mix, PairTable


def pair_table(
    pairs: pl.DataFrame,
    chosen: pl.DataFrame,
    weights: Mapping[Action, float] | None = None,
    spare: Spare = "answers",
    askers: np.ndarray | None = None,
) -> PairTable:
    """The training form of pairs; `chosen` are all that there were before any rule (`builders/pairs.py`). `weights` by action, 1
    where it names none, are scaled to mean 1. `spare` says what is no negative for being known to be right. `askers` (P,) are the
    rows of products that queries were made of."""
    name = pl.concat_str(pl.col("query_text").fill_null(""), pl.col("query_image_key").fill_null(""), separator="\0")
    weight = None
    if weights:
        drawn = pairs["action"].replace_strict(weights, default=1.0, return_dtype=pl.Float64)
        weight = (drawn / drawn.mean()).to_numpy()
    item = pairs["item"].to_numpy().astype(np.int64)
    query, others = codes(pairs.select(name).to_series()), also_chosen(pairs, chosen)
    answers: dict[str, Lists] = {}
    mates: Lists | None = None
    if spare in ("answers", "visits"):
        answers = answers_of(pairs, chosen, others.lists)
    if spare == "visits":
        mates, left_out = chosen_in_visits(pairs, chosen)
        if left_out:
            console.print(f"  negatives: {left_out:,} sessions spare nothing, more than {MANY} products were chosen in each")
    return PairTable(query_parts(pairs), item, query, others, answers, mates, weight, askers)


def query_parts(pairs: pl.DataFrame) -> Parts:
    """What the queries of pairs show."""
    return Parts({"text": _column(pairs, "query_text")}, _column(pairs, "query_image_key"))


def build_mix(config: PosttrainConfig) -> Mix:
    """The shares of views that the recipe asks for."""
    return Mix([m.query for m in config.mix], [m.item for m in config.mix], [m.share for m in config.mix])


def _column(frame: pl.DataFrame, name: str) -> Column:
    return frame[name].to_numpy().astype(object)
