"""What every step starts from: the recipe's shop, checked, split, with its pictures decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.config import Recipe
from openmoon.console import bar, console, plain
from openmoon.data.check import unreadable_rows, write_rejected
from openmoon.data.families import split_catalog, with_looks
from openmoon.data.image_cache import ImageCache
from openmoon.data.pairs.behaviour import behaviour_pairs, under_one_label, with_one_name
from openmoon.data.schema import ACTIONS, QUERIES, REJECTED
from openmoon.data.shop import Shop, load_shop
from openmoon.data.splits import split_pairs
from openmoon.data.tables import read_parquet
from openmoon.data.text import item_texts
from openmoon.data.views import Parts, codes
from openmoon.errors import UserError
from openmoon.io import content_hash
from openmoon.models.encoder import ProductEncoder


@dataclass(frozen=True)
class Workspace:
    """`items` has one row per product: product_id, spu_id, title, rich, image (relative path), image_key, category, split. The
    events of `shop` are those before `data.until`."""

    recipe: Recipe
    shop: Shop
    images: ImageCache
    items: pl.DataFrame

    @cached_property
    def parts(self) -> Parts:
        """Texts and picture keys of the products, in the order of `items`."""
        texts = {name: self.items[name].to_numpy().astype(object) for name in ("title", "rich")}
        return Parts(texts, self.items["image_key"].to_numpy().astype(object))

    @cached_property
    def spus(self) -> np.ndarray:
        """(N,) int64, equal for products of one SPU."""
        return codes(self.items["spu_id"])

    @cached_property
    def pairs(self) -> pl.DataFrame:
        """Query→item pairs from behaviour: query_text, query_image, query_image_key, query_look, product_id, count, users,
        visits, action, latest, split, item (row of `items`), and asked_text, which stays when a rule takes the text away.
        `UserError` where there is none, or a split has none."""
        actions = self.recipe.posttrain.actions if self.recipe.posttrain else ["click", "cart", "purchase"]
        found = self.behaviour(actions)
        if found.is_empty():
            remedy = "log more, or name more in posttrain.actions" if self.recipe.posttrain else "log more"
            raise UserError(f"data.events: no event is one of {', '.join(actions)} and asks with words or with a photo that can "
                            f"be read; {remedy}.")  # fmt: skip
        pairs, counts = split_pairs(found, self.items.select("product_id", "split"), self.recipe.data.split)
        for what, count in counts.items():
            console.print(f"  pairs: {count:,} {what}")
        rows = self.items.select("product_id").with_row_index("item")
        pairs = pairs.join(rows, on="product_id", how="left", maintain_order="left")
        return pairs.with_columns(asked_text="query_text")

    def met_products(self) -> pl.DataFrame:
        """What every query met of the products that are learnt from: asked_text, query_image_key, item, strongest action."""
        rows = self.items.select("product_id").with_row_index("item")
        met = with_one_name(self.with_picture_keys(behaviour_pairs(self.learnt_events, ACTIONS), tell=False))
        met = met.join(rows, on="product_id", maintain_order="left")
        return met.select("query_image_key", "item", "action", asked_text="query_text")

    def behaviour(self, actions: Sequence[str], tell: bool = True) -> pl.DataFrame:
        """The pairs of some actions before they are split; `split` is the label that the log gives them. With `tell` it is said
        what is left out."""
        self.shop.require_queries()
        assert self.shop.events is not None
        chosen = self.shop.events.filter(pl.col("action").is_in(actions))
        if self.recipe.data.split.by == "given":
            everything, chosen = len(chosen), under_one_label(chosen)
            if tell and (lost := everything - len(chosen)):
                console.print(f"  pairs: {lost:,} events left out, others of their pair are held out")
        return self.with_looks(with_one_name(self.with_picture_keys(behaviour_pairs(chosen, actions), tell)))[0]

    def with_picture_keys(self, queries: pl.DataFrame, tell: bool = True) -> pl.DataFrame:
        """Add `query_image_key`, null where there is no readable picture; drop rows without a query left, and `tell` how many."""
        keyed = self.shop.with_keys(queries, "query_image", self.images)
        kept = keyed.filter(pl.col("query_text").is_not_null() | pl.col("query_image_key").is_not_null())
        if tell and (lost := len(keyed) - len(kept)):
            console.print(f"  [yellow]{lost:,} query→item pairs dropped[/]: no text, and their photo cannot be read")
        return kept

    def with_looks(self, *tables: pl.DataFrame) -> list[pl.DataFrame]:
        """`families.with_looks` of tables that have their picture keys."""
        return with_looks(tables, self.images, self.recipe.data.split)

    @cached_property
    def categories(self) -> np.ndarray:
        """(N,) int64, equal for products of one category; products without one are a category too."""
        return codes(self.items["category"].fill_null(""))

    def rows(self, split: str) -> np.ndarray:
        """Rows of `items` that belong to `split`."""
        return np.flatnonzero(self.items["split"].to_numpy() == split)

    @property
    def learnt_rows(self) -> np.ndarray:
        """Rows of `items` that training pairs may hold: those of the training split, or all where queries are divided instead of
        products."""
        return np.arange(len(self.items)) if self.recipe.data.split.by == "given" else self.rows("train")

    @property
    def learnt_events(self) -> pl.DataFrame:
        """The events with products that are learnt from; where the log says which are held out, not those."""
        if self.shop.events is None:
            raise UserError("data.events: this step learns from behaviour, but the recipe names no events table; name one, or "
                            "set posttrain: null to train stage 1 alone.")  # fmt: skip
        products = self.items.select("product_id")[self.learnt_rows]
        events = self.shop.events.join(products, on="product_id", how="semi", maintain_order="left")
        return events.filter(split="train") if self.recipe.data.split.by == "given" else events

    @cached_property
    def catalogue_hash(self) -> str:
        """Identity of what stage 1 learns from, 16 hex digits: texts, pictures and split of the products."""
        return content_hash(*self._catalogue)[:16]

    @cached_property
    def data_hash(self) -> str:
        """Identity of all that is learnt from, 16 hex digits: the catalogue, and what was clicked, carted and bought.

        Which actions make pairs and how these are split follows from the recipe and is no part of it.
        """
        learnt = []
        if self.shop.events is not None:
            chosen = self.shop.events.filter(pl.col("action") != "impression")
            photos = chosen.select(image="query_image").drop_nulls().unique().sort("image")
            learnt.append(chosen.select("query_text", "query_image", "product_id", "action", "split"))
            learnt.append(self.shop.with_keys(photos, "image", self.images).drop_nulls())
        return content_hash(*self._catalogue, *(table.write_ndjson() for table in learnt))[:16]

    def learnt_hash(self, stage: str) -> str:
        """Identity of what a stage learns from."""
        return self.catalogue_hash if stage == "pretrain" else self.data_hash

    @property
    def _catalogue(self) -> tuple[str, str]:
        products = self.items.select("product_id", "spu_id", "title", "rich", "image_key", "split")
        return self.recipe.data.split.model_dump_json(), products.write_ndjson()


def open_workspace(recipe: Recipe, labels: bool = False) -> Workspace:
    """Read the tables, decode the pictures, split the products; write rejected.parquet to the workdir.

    The labelled queries of `data.queries` are read only with `labels`, for what evaluates: a training never sees them.
    Events at or after `data.until` are left out here, once for all steps, and counted; `UserError` where none is before it.
    """
    shop = load_shop(recipe.data if labels else recipe.data.model_copy(update={"queries": None}))
    known = _before(shop, recipe.data.until)
    images = ImageCache(cache_folder(recipe), recipe.encoder.image.size)
    unreadable = _decode(shop, images)
    items = _items(known, images, recipe)
    rejected = [shop.rejected, _bare_rows(shop, items), unreadable_rows(shop, unreadable)]
    path = recipe.workdir / "rejected.parquet"
    if recipe.data.queries is not None and not labels and path.exists():  # another step has read the labels
        rejected.append(read_parquet(path).filter(table=QUERIES.name).match_to_schema(REJECTED))
    _write_rejected(pl.concat(rejected), path)
    return Workspace(recipe, known, images, items)


def workspace_of(recipe: Recipe, shop: Shop, images: ImageCache) -> Workspace:
    """What `open_workspace` makes, of a shop that is read and whose pictures are decoded; writes nothing."""
    known = _before(shop, recipe.data.until)
    return Workspace(recipe, known, images, _items(known, images, recipe))


def _write_rejected(rejected: pl.DataFrame, path: Path) -> None:
    write_rejected(path, rejected)
    if len(rejected):
        console.print(f"  [yellow]{len(rejected):,} rows rejected[/]: reasons in {plain(path)}")


def require_size(encoder: ProductEncoder, work: Workspace) -> None:
    """`UserError` where an encoder sees pictures of another size than the recipe decodes."""
    if (size := encoder.image_size) != work.images.size:
        raise UserError(f"encoder.image.size: the encoder sees pictures of {size} px, the recipe decodes them at "
                        f"{work.images.size}; add encoder.image.size={size}.")  # fmt: skip


def cache_folder(recipe: Recipe) -> Path:
    """Where decoded pictures and frozen tokens are kept."""
    return recipe.data.cache or recipe.workdir / "cache"


def _before(shop: Shop, until: datetime | None) -> Shop:
    """The shop as it was known at `until`; its pictures stay, so that an unreadable one is reported whatever the moment."""
    if until is None or shop.events is None:
        return shop
    events, total = shop.events.filter(pl.col("timestamp") < until), len(shop.events)
    if events.is_empty():
        first = shop.events.select(pl.col("timestamp").min().cast(pl.String)).item()
        raise UserError(f"data.until: none of the {total:,} usable events is before {until} (the first is of {first}); name a "
                        "later moment, or leave it out.")  # fmt: skip
    console.print(f"  data.until: {total - len(events):,} of {total:,} events, from {until} on, are left out", highlight=False)
    return replace(shop, events=events)


def _decode(shop: Shop, images: ImageCache) -> dict[Path, str]:
    paths = [shop.image_path(name) for name in shop.picture_names()]
    with bar("Decoding pictures", len(paths)) as (progress, task):
        return images.fill(paths, progress=lambda n: progress.advance(task, n))


def _items(shop: Shop, images: ImageCache, recipe: Recipe) -> pl.DataFrame:
    items = shop.catalog.drop("title").join(item_texts(shop.catalog), on="product_id", how="left", maintain_order="left")
    items = shop.with_keys(items, "image", images)
    splits = split_catalog(items, images, recipe.data.split)
    items = items.join(splits, on="product_id", how="left", maintain_order="left")
    items = items.select("product_id", "spu_id", "title", "rich", "image", "image_key", "category", "split")
    return items.filter(pl.col("rich").is_not_null() | pl.col("image_key").is_not_null())


def _bare_rows(shop: Shop, items: pl.DataFrame) -> pl.DataFrame:
    """Rejected rows for the products that are not among `items`."""
    bare = shop.catalog.join(items, on="product_id", how="anti", maintain_order="left")
    return bare.select(
        pl.lit("catalog").alias("table"), pl.lit(None, pl.Int64).alias("row"), "product_id",
        pl.lit("neither a text nor a readable picture").alias("reason"),
        pl.struct(pl.all()).struct.json_encode().alias("record"),
    ).match_to_schema(REJECTED)  # fmt: skip
