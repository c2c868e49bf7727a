"""`openmoon embed`: catalogue → vectors table, and where the recipe asks for it, queries of the events → one of their own."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from openmoon.builders.embed_table import Embedder, Shown, embed_table
from openmoon.builders.inference import fast_encoder
from openmoon.builders.trained import open_encoder
from openmoon.config import Recipe
from openmoon.data.pairs.behaviour import asked_words
from openmoon.data.shop import Shop, load_asked, load_catalog
from openmoon.data.text import item_texts
from openmoon.device import compute_device
from openmoon.io import alone
from openmoon.learnt import saved_learnt_until
from openmoon.serving.vectors import PRODUCT, QUERY, Finished


def encoder_name(recipe: Recipe, fingerprint: str) -> str:
    """What the vectors table's `encoder` column says, such as `sample@3f2a…`: equal names mean comparable vectors."""
    return f"{recipe.name}@{fingerprint}"


def embed(recipe: Recipe, encoder_folder: Path | None = None) -> Finished:
    """Write `<workdir>/vectors.parquet` and, with `embed.queries`, `query_vectors.parquet`; what the first of them came to.

    Where a picture is unreadable the text stands alone, and what has nothing left is skipped; both are listed with the reason in
    embed_rejected.parquet. Queries are those of all events, whatever `data.until` says: they are asked, not learnt from.
    """
    folder, slow = open_encoder(recipe, encoder_folder)
    work, fingerprint = recipe.workdir, slow.fingerprint()
    precision = recipe.embed.precision if compute_device().type == "cpu" else "float32"
    encoder = fast_encoder(slow, work / "onnx", precision, fingerprint)
    by = Embedder(encoder, encoder_name(recipe, fingerprint), saved_learnt_until(folder), recipe.embed.batch_size, precision)
    shop, problems = load_catalog(recipe.data), work / "embed_rejected.parquet"
    with alone(work):
        finished = embed_table(work / "vectors.parquet", _products(shop, recipe.embed.view), shop.image_path, by, problems)
        if recipe.embed.queries:
            asked = load_asked(recipe.data, shop.catalog["product_id"])
            embed_table(work / "query_vectors.parquet", _queries(asked), shop.image_path, by, problems)
    return finished


def _products(shop: Shop, view: str) -> Shown:
    parts = view.split("+")
    words = next((pl.col(part) for part in parts if part != "image"), pl.lit(None, pl.String))
    picture = pl.col("image") if "image" in parts else pl.lit(None, pl.String)
    items = shop.catalog.select("product_id", "image").join(
        item_texts(shop.catalog), on="product_id", maintain_order="left"
    )
    rows = items.select("product_id", text=words, image=picture)
    return Shown("products", PRODUCT, rows, f"nothing to embed under the view {view!r}")


def _queries(asked: pl.DataFrame) -> Shown:
    rows = asked.with_columns(text=asked_words(pl.col("query_text")), image="query_image")
    return Shown("queries", QUERY, rows, "neither a text nor a readable picture")
