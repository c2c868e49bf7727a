"""Which pairs stage 2 learns from: those of the training split, after the rules of the recipe."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import numpy as np
import polars as pl

from openmoon.builders.pair_table import build_mix, pair_table
from openmoon.builders.systems import CachedEncode
from openmoon.builders.workspace import Workspace, cache_folder
from openmoon.config import PosttrainConfig, Recipe
from openmoon.data.pairs import cleaning
from openmoon.data.pairs.behaviour import co_click_pairs
from openmoon.data.pairs.entities import Entities
from openmoon.data.pairs.ledger import Ledger
from openmoon.errors import UserError
from openmoon.evaluation.encode import Encode, encode_table
from openmoon.models.encoder import ProductEncoder


class TrainingPairs(NamedTuple):
    """The `pairs` of the training split after the rules, which may leave none, with spu and category of their items; what each
    rule did; `chosen`, the pairs before the rules: whatever was chosen for a query, whether it is trained on or not; and the
    categories' shares of the impressions, where a rule asked for them."""

    pairs: pl.DataFrame
    ledger: Ledger
    chosen: pl.DataFrame
    impressions: dict[str | None, float] | None = None

    def askers(self, work: Workspace) -> np.ndarray | None:
        """(P,) rows of the products that queries were made of; None where shoppers asked."""
        if "asker" not in self.pairs.columns:
            return None
        rows = work.items.select(asker="product_id").with_row_index("row")
        return self.pairs.join(rows, on="asker", how="left", maintain_order="left")["row"].to_numpy().astype(np.int64)


def training_pairs(work: Workspace, encoder: ProductEncoder | None) -> TrainingPairs:
    """The pairs that stage 2 learns from, by the rules of `posttrain.pairs`, and of them those that the mix can show. `encoder`
    scores them for the hardest queries; None where there is no trained one."""
    config = posttrain_section(work.recipe)
    rules, ledger = config.pairs, Ledger()
    pairs = _co_clicks(work, config) if rules.signal == "co-click" else work.pairs.filter(split="train")
    chosen = pairs
    items = work.items.select("product_id", "category", spu="spu_id")
    pairs = pairs.join(items, on="product_id", how="left", maintain_order="left")
    if rules.per_user:
        pairs = ledger.apply("pairs per user", pairs, lambda p: cleaning.cap_per_user(p, rules.per_user))
    if rules.entities:
        lexicon = Entities.of_catalog(work.shop.catalog)
        pairs = ledger.apply("entities", pairs, lambda p: cleaning.with_entities(p, lexicon, rules.entities))
    if rules.merge_spus:
        pairs = ledger.apply("merge SPUs", pairs, cleaning.merge_spus)
    if rules.hardest_query:
        if encoder is None:
            raise UserError("posttrain.pairs.hardest_query: needs a trained encoder to score with; train stage 1 first "
                            "(`openmoon pretrain`), or switch the rule off.")  # fmt: skip
        encode = CachedEncode(encoder, work.images, cache_folder(work.recipe))
        pairs = ledger.apply("hardest query", pairs, lambda p: cleaning.hardest_queries(p, pair_scores(work, encode, p)))
    if rules.per_item:
        pairs = ledger.apply("pairs per item", pairs, lambda p: cleaning.cap_per_item(p, rules.per_item))
    shares = _impressions(work) if rules.match_categories else None
    if shares is not None:
        pairs = ledger.apply("match categories", pairs, lambda p: cleaning.match_categories(p, shares))
    if config.objectives == "mix" and len(pairs):
        fits = build_mix(config).probabilities(pair_table(pairs, chosen, spare="nothing"), work.parts).sum(1) > 0.5
        if not fits.all():
            pairs = ledger.apply("views of the mix", pairs, lambda p: p.filter(pl.Series(fits)))
    return TrainingPairs(pairs, ledger, chosen, shares)


def latest_event(work: Workspace, found: TrainingPairs) -> datetime:
    """When the last event happened that stage 2 learns from: of the pairs, those that a rule drops too (they are no negatives);
    of the validation pairs, which decide when to stop; and of whatever else the recipe takes from the log."""
    config = posttrain_section(work.recipe)
    seen = [found.chosen["latest"], work.pairs.filter(split="val")["latest"]]
    if config.negatives.left or config.negatives.pool:
        asked = pl.col("query_text").is_not_null() | pl.col("query_image").is_not_null()
        seen.append(work.learnt_events.filter(asked)["timestamp"])
    if config.pairs.match_categories:
        seen.append(work.learnt_events.filter(action="impression")["timestamp"])
    return pl.concat(seen).to_frame("moment").select(pl.col("moment").max()).item()


def pair_scores(work: Workspace, encode: Encode, pairs: pl.DataFrame) -> np.ndarray:
    """(P,) cosine of each pair's query, with all that it has, and its product with text and picture."""
    queries, query = query_vectors(work, encode, pairs)
    rows, item = np.unique(pairs["item"].to_numpy(), return_inverse=True)
    return np.einsum("pd,pd->p", queries[query], item_vectors(work, encode, rows)[item])


def posttrain_section(recipe: Recipe) -> PosttrainConfig:
    """The recipe's stage 2; `UserError` where it is switched off."""
    if recipe.posttrain is None:
        raise UserError("posttrain: the recipe switches this stage off (posttrain: null); it has no pairs.")
    return recipe.posttrain


def _co_clicks(work: Workspace, config: PosttrainConfig) -> pl.DataFrame:
    shown = work.items.select("product_id", "title", "image")
    pairs = work.with_picture_keys(co_click_pairs(work.learnt_events, config.actions, shown))
    pairs = pairs.with_columns(asked_text="query_text")
    rows = work.items.select("product_id").with_row_index("item")
    return pairs.join(rows, on="product_id", how="left", maintain_order="left")


def _impressions(work: Workspace) -> dict[str | None, float]:
    shares = cleaning.impression_shares(work.learnt_events, work.items.select("product_id", "category"))
    if not shares:
        raise UserError("posttrain.pairs.match_categories: the events hold no impression of a training product to take the "
                        "categories' shares from; log impressions, or switch the rule off.")  # fmt: skip
    return shares


def query_vectors(work: Workspace, encode: Encode, pairs: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the distinct queries, and which of them each pair asks."""
    keyed = pairs.select("query_text", "query_image_key", "query_image")
    distinct = keyed.unique(["query_text", "query_image_key"], maintain_order=True).with_row_index("query")
    place = keyed.join(distinct, on=["query_text", "query_image_key"], how="left", nulls_equal=True, maintain_order="left")
    shown = distinct.select(text="query_text", image=work.shop.readable_paths("query_image"))
    return encode_table(encode, shown, "scoring"), place["query"].to_numpy()


def item_vectors(work: Workspace, encode: Encode, rows: np.ndarray) -> np.ndarray:
    """Vectors of the products in `rows`, with text and picture."""
    shown = work.items[rows].select(text="rich", image=work.shop.readable_paths("image"))
    return encode_table(encode, shown, "scoring")
