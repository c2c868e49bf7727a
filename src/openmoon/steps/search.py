"""`openmoon search`: words, a photo or both → the nearest products of the vectors table."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from openmoon.builders.trained import open_encoder
from openmoon.config import Recipe
from openmoon.data.pairs.behaviour import asked_words
from openmoon.data.shop import load_catalog
from openmoon.errors import UserError
from openmoon.io import require_other_file, require_picture
from openmoon.serving.contact_sheet import write_contact_sheet
from openmoon.serving.search import search
from openmoon.steps.embed import encoder_name


def search_products(
    recipe: Recipe,
    text: str | None,
    image: Path | None,
    k: int,
    sheet: Path | None = None,
    encoder_folder: Path | None = None,
) -> pl.DataFrame:
    """rank, score, product_id, title, category, image of the `k` nearest products; `sheet` also draws them as a PNG. Raises
    `UserError` without a query, an encoder or a vectors table that this encoder made."""
    text = text and text.encode(errors="replace").decode()  # a terminal may hand over half a character
    text = pl.select(asked_words(pl.lit(text, pl.String))).item()
    if not text and image is None:
        raise UserError("search: nothing to search for; give --text, --image or both.")
    if sheet is not None:
        require_picture(sheet, "--sheet", [image] if image else [])
    _, encoder = open_encoder(recipe, encoder_folder)
    vectors = encoder.encode([{"text": text, "image": image}])
    found = search(recipe.workdir / "vectors.parquet", vectors, k, encoder_name(recipe, encoder.fingerprint()))
    shop = load_catalog(recipe.data)
    products = shop.catalog.select("product_id", "title", "category", "image")
    results = found.join(products, on="product_id", how="left", maintain_order="left")
    path = shop.image_paths(pl.col("image"))
    results = results.select("rank", "score", "product_id", "title", "category", path)
    if sheet is not None:
        require_other_file(sheet, "--sheet", map(Path, results["image"].drop_nulls()))
        write_contact_sheet(sheet, results, text, image)
    return results
