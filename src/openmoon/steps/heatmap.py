"""`openmoon heatmap`: which regions of a picture a text is about, or why two pictures match, as a PNG."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.builders.trained import open_encoder
from openmoon.config import Recipe
from openmoon.data.images import ImageRejected, load_image
from openmoon.data.shop import load_catalog
from openmoon.errors import UserError, nearest
from openmoon.evaluation.heatmap import Heatmap, match_heatmaps, text_heatmaps
from openmoon.io import require_picture
from openmoon.serving.heatmap_sheet import BIG, write_match_sheet, write_text_sheet


@dataclass(frozen=True)
class _Photo:
    """A picture as the encoder sees it, the same square large enough to look at, and what to call it."""

    label: str
    seen: np.ndarray
    shown: np.ndarray


def draw_heatmap(
    recipe: Recipe,
    out: Path,
    image: Path | None = None,
    product: str | None = None,
    text: str | None = None,
    match: str | None = None,
    encoder_folder: Path | None = None,
) -> list[Heatmap]:
    """Draw `out` and return its maps: of the text and then its words, or of both pictures.

    The picture is the file `image` or that of a `product`; it meets `text`, or `match`, which is a file or a product id.
    Raises `UserError` unless exactly one of each two is given and can be read.
    """
    if (image is None) == (product is None):
        raise UserError("heatmap: which picture? give --image FILE or --product ID, one of them.")
    text = " ".join((text or "").split()) or None
    if (text is None) == (match is None):
        raise UserError("heatmap: nothing to compare the picture with; give --text, or --match with a file or a product id."
                        if text is None else "heatmap: --text and --match exclude each other; give one of them.")  # fmt: skip
    picture = _of_file(image) if image is not None else _of_product(recipe, str(product), "--product")
    other = _other(recipe, match) if match is not None else None
    require_picture(out, "--out", [picture[1], *([other[1]] if other else [])])
    _, encoder = open_encoder(recipe, encoder_folder)
    one = _load(*picture, encoder.image_size)
    if other is None:
        whole, words = text_heatmaps(encoder, one.seen, str(text))
        write_text_sheet(out, one.shown, whole, words)
        return [whole, *words]
    two = _load(*other, encoder.image_size)
    maps = match_heatmaps(encoder, one.seen, two.seen, (one.label, two.label))
    write_match_sheet(out, (one.shown, two.shown), maps)
    return list(maps)


def _other(recipe: Recipe, match: str) -> tuple[str, Path]:
    return _of_file(Path(match)) if Path(match).is_file() else _of_product(recipe, match, "--match")


def _of_file(path: Path) -> tuple[str, Path]:
    return path.name, path


def _of_product(recipe: Recipe, product: str, option: str) -> tuple[str, Path]:
    """What to call the picture of a product of the catalogue, and where it is."""
    shop = load_catalog(recipe.data)
    found = shop.catalog.filter(pl.col("product_id") == product)
    if found.is_empty():
        known = shop.catalog["product_id"].to_list()
        wanted = "neither a file nor a product" if option == "--match" else "not a product"
        raise UserError(f"heatmap: {option} {product!r} is {wanted} of {recipe.data.root / recipe.data.catalog}."
                        f"{nearest(product, known)}")  # fmt: skip
    row = found.row(0, named=True)
    if row["image"] is None:
        raise UserError(f"heatmap: {option} {product!r} has no picture in the catalogue; choose another product.")
    return (row["title"] or "").strip() or product, shop.image_path(row["image"])


def _load(label: str, path: Path, size: int) -> _Photo:
    try:
        return _Photo(label, load_image(path, size), load_image(path, BIG))
    except ImageRejected as error:
        raise UserError(f"{path}: {error}.") from error
