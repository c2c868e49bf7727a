"""What stage 2 shows in place of products' own texts and pictures: what `openmoon data augment` made, and shoppers' photos."""

from __future__ import annotations

import polars as pl

from openmoon.builders.workspace import Workspace
from openmoon.console import bar, console
from openmoon.data.coaugment.table import load_augmented
from openmoon.data.views import Parts, Variants
from openmoon.errors import UserError
from openmoon.io import content_hash


def augmented(work: Workspace, share: float) -> Variants:
    """What `<workdir>/augmented/augmented.parquet` keeps for the products; `UserError` where there is no such table."""
    table = load_augmented(work.recipe.workdir / "augmented" / "augmented.parquet")
    ids = work.items["product_id"].to_list()
    texts, pictures = table.texts_of(ids), table.images_of(ids)
    paths = [path for row in pictures for path in row]
    with bar("Decoding augmented pictures", len(paths)) as (progress, task):
        unreadable = work.images.fill(paths, progress=lambda n: progress.advance(task, n))
    if unreadable:
        path, reason = next(iter(unreadable.items()))
        console.print(f"  [yellow]{len(unreadable):,} augmented pictures left out[/]: cannot be read, such as {path} ({reason})")
    keys = dict(zip(paths, work.images.readable(paths), strict=True))
    images = [[key for path in row if (key := keys[path]) is not None] for row in pictures]
    console.print(f"  variants: {sum(map(len, texts)):,} texts and {sum(map(len, images)):,} pictures of "
                  f"{sum(bool(t or i) for t, i in zip(texts, images, strict=True)):,} products")  # fmt: skip
    return Variants(texts, images, share)


def shoppers_photos(work: Workspace, pairs: pl.DataFrame, share: float) -> Variants:
    """The photos by which shoppers came to the products, of the training `pairs`; `UserError` where there are none."""
    found = pairs.select("item", "query_image_key").drop_nulls().unique(maintain_order=True)
    if found.is_empty():
        raise UserError("posttrain.photos: none of the training pairs was asked with a photo; leave it out.")
    images: list[list[str]] = [[] for _ in range(len(work.items))]
    for item, key in found.iter_rows():
        images[item].append(key)
    console.print(f"  variants: {len(found):,} shoppers' photos of {found['item'].n_unique():,} products")
    return Variants([[]] * len(images), images, share)


def variants_hash(items: Parts) -> str:
    """Identity of the variants, which a run's checkpoint belongs to; empty where there are none."""
    return content_hash(*(repr(kind) for kind in items.variants)) if items.variants else ""
