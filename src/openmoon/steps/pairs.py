"""`openmoon data pairs`: what every rule did to the pairs, what the mix can show of them, how an encoder scores them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from openmoon.builders.pair_table import build_mix, pair_table
from openmoon.builders.pairs import TrainingPairs, item_vectors, posttrain_section, query_vectors, training_pairs
from openmoon.builders.systems import CachedEncode
from openmoon.builders.trained import starting_encoder, starts_untrained
from openmoon.builders.workspace import Workspace, cache_folder, open_workspace, require_size
from openmoon.config import PosttrainConfig, Recipe
from openmoon.console import console
from openmoon.data.pairs.ledger import Ledger
from openmoon.errors import UserError
from openmoon.evaluation.encode import Encode
from openmoon.models.encoder import ProductEncoder

MOST_CATEGORIES = 12  # lines of their shares
RANDOM_NEGATIVES = 5  # per pair, and as many of its category
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class PairsAccount:
    """How many pairs are left, the ledger of the rules, how many pairs can show each row of the mix (query, item, wanted, pairs,
    full: with every part of the item's view, drawn; None where the objectives show every view), shares of the categories among
    impressions and pairs (category, impressions, chosen, taught; None without that rule), score quantiles of positives and
    negatives by kind of query (query, scores of, pairs, one column a quantile; None without an encoder), and titles by
    product_id."""

    pairs: int
    ledger: Ledger
    mix: pl.DataFrame | None
    categories: pl.DataFrame | None
    scores: pl.DataFrame | None
    titles: dict[str, str]

    def __rich__(self) -> Group:
        """Tables for the terminal."""
        parts: list[RenderableType] = [self._rules(), *self._examples()]
        tables = ((self._shares, self.categories), (self._views, self.mix), (self._quantiles, self.scores))
        return Group(*parts, *(shown(table) for shown, table in tables if table is not None))

    def _rules(self) -> Table:
        table = _table(f"{self.pairs:,} training pairs", "rule")
        for heading in ("came", "dropped", "lost their text", "repeated", "went on"):
            table.add_column(heading, justify="right")
        for e in self.ledger.entries:
            table.add_row(e.rule, *(f"{n:,}" for n in (e.came, e.dropped, e.shortened, e.repeated, e.kept)))
        if not self.ledger.entries:
            table.add_row("none (posttrain.pairs)", *[""] * 5)
        return table

    def _examples(self) -> list[Text]:
        lines = []
        for entry in self.ledger.entries:
            for row in entry.examples.iter_rows(named=True):
                asked = [repr(row["query_text"])] * bool(row["query_text"]) + ["a photo"] * bool(row["query_image_key"])
                item = f"{row['product_id']} ({self.titles.get(row['product_id']) or 'no title'})"
                lines.append(Text(f"  {entry.rule} dropped {' + '.join(asked)} → {item}", style="dim"))
        return lines

    def _views(self, mix: pl.DataFrame) -> Table:
        table = _table("Views", "query → item")
        for heading in ("share wanted", "pairs that can", "in full", "share drawn"):
            table.add_column(heading, justify="right")
        for row in mix.iter_rows(named=True):
            counts = f"{row['pairs']:,}", f"{row['full']:,}"
            table.add_row(f"{row['query']} → {row['item']}", f"{row['wanted']:.1%}", *counts, f"{row['drawn']:.1%}")
        return table

    def _shares(self, categories: pl.DataFrame) -> Table:
        table = _table("Categories, by impressions", "category")
        for heading in ("impressions", "pairs before", "pairs after"):
            table.add_column(heading, justify="right")
        for category, *shares in categories.head(MOST_CATEGORIES).iter_rows():
            table.add_row(escape(category or "none"), *(f"{share:.1%}" for share in shares))
        if more := categories[MOST_CATEGORIES:].drop("category").sum().row(0) if len(categories) > MOST_CATEGORIES else None:
            table.add_row(f"{len(categories) - MOST_CATEGORIES:,} others", *(f"{share:.1%}" for share in more))
        return table

    def _quantiles(self, scores: pl.DataFrame) -> Table:
        table = _table("Cosine of query and product", *scores.columns[:2])
        for heading in scores.columns[2:]:
            table.add_column(heading, justify="right")
        for query, of, pairs, *values in scores.iter_rows():
            table.add_row(escape(query), of, f"{pairs:,}", *(f"{v:.3f}" for v in values))
        return table


def account(recipe: Recipe, encoder_folder: Path | None = None) -> PairsAccount:
    """Make the pairs of a recipe and look at them. They are scored by the encoder given, or the one that stage 2 starts from;
    not at all where that is untrained."""
    config, work = posttrain_section(recipe), open_workspace(recipe)
    encoder = _scoring_encoder(work, encoder_folder)
    found = training_pairs(work, encoder)
    there = len(found.pairs) > 0
    scores = None
    if encoder is not None and there:
        scores = _score_quantiles(work, CachedEncode(encoder, work.images, cache_folder(recipe)), found.pairs)
    mix = _mix_counts(work, config, found) if there and config.objectives == "mix" else None
    categories = None if found.impressions is None else _category_shares(work, found.impressions, found)
    titles = dict(work.items.select("product_id", "title").iter_rows())
    return PairsAccount(len(found.pairs), found.ledger, mix, categories, scores, titles)


def _scoring_encoder(work: Workspace, folder: Path | None) -> ProductEncoder | None:
    if folder is not None:
        encoder = ProductEncoder.from_pretrained(folder)
        require_size(encoder, work)
        return encoder
    if starts_untrained(work.recipe):
        return None
    try:
        return starting_encoder(work)
    except UserError as missing:
        console.print(f"  [yellow]no scores[/]: {missing}", highlight=False)
        return None


def _table(title: str, *left: str) -> Table:
    return Table(*left, title=title, title_justify="left", title_style="bold", header_style="dim")


def _category_shares(work: Workspace, impressions: dict[str | None, float], found: TrainingPairs) -> pl.DataFrame:
    """Of impressions, of the pairs before any rule, and of those that are left."""
    table = pl.DataFrame(list(impressions.items()), {"category": pl.String, "impressions": pl.Float64}, orient="row")
    before = found.chosen.join(work.items.select("product_id", "category"), on="product_id", how="left")
    for name, pairs in (("chosen", before), ("taught", found.pairs)):
        counted = pairs.group_by("category").agg((pl.len() / max(len(pairs), 1)).alias(name))
        table = table.join(counted, on="category", how="full", coalesce=True, nulls_equal=True)
    return table.fill_null(0.0).sort("impressions", "category", descending=[True, False])


def _mix_counts(work: Workspace, config: PosttrainConfig, found: TrainingPairs) -> pl.DataFrame:
    table = pair_table(found.pairs, found.chosen, spare="nothing")
    chances = build_mix(config).probabilities(table, work.parts)
    drawn = chances.sum(0) / max(chances.sum(), 1)
    full = [int((table.asks(m.query) & work.parts.has(m.item, complete=True)[table.item]).sum()) for m in config.mix]
    return pl.DataFrame({
        "query": [m.query for m in config.mix], "item": [m.item for m in config.mix],
        "wanted": [m.share / sum(m.share for m in config.mix) for m in config.mix],
        "pairs": (chances > 0).sum(0), "full": full, "drawn": drawn,
    })  # fmt: skip


def _score_quantiles(work: Workspace, encode: Encode, pairs: pl.DataFrame) -> pl.DataFrame:
    """Positives beside random products of the training split, and random ones of the same category."""
    queries, query = query_vectors(work, encode, pairs)
    train = work.learnt_rows
    place = np.full(len(work.items), -1)
    place[train] = np.arange(len(train))
    items, own = item_vectors(work, encode, train), place[pairs["item"].to_numpy()]
    rng = np.random.default_rng(0)
    category = work.categories[train]
    order = np.argsort(category, kind="stable")
    first, last = (np.searchsorted(category[order], category[own], side) for side in ("left", "right"))
    drawn = {"positives": own[:, None], "negatives": rng.integers(0, len(train), (len(own), RANDOM_NEGATIVES))}
    inside = rng.random((len(own), RANDOM_NEGATIVES)) * (last - first)[:, None]
    drawn["negatives of the category"] = order[first[:, None] + inside.astype(np.int64)]
    spu = work.spus[train]
    kinds = np.array(["text", "photo", "text + photo"])[
        np.where(pairs["query_image_key"].is_null(), 0, np.where(pairs["query_text"].is_null(), 1, 2))
    ]
    table = []
    for name, rows in drawn.items():
        scores = np.einsum("pd,pnd->pn", queries[query], items[rows])
        scores[(name != "positives") & (spu[rows] == spu[own][:, None])] = np.nan
        for kind in np.unique(kinds):
            here = scores[kinds == kind]
            if np.isnan(here).all():  # all that were drawn are of the pairs' own SPUs
                continue
            values = np.nanquantile(here, QUANTILES)
            table.append({"query": str(kind), "scores of": name, "pairs": int((kinds == kind).sum()),
                          **{f"{q:.0%}": float(v) for q, v in zip(QUANTILES, values, strict=True)}})  # fmt: skip
    return pl.DataFrame(table).sort("query", maintain_order=True)
