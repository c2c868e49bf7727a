"""What `openmoon data augment` made, as variants that stage 2 shows in place of the products' own texts and pictures."""

from __future__ import annotations

from dataclasses import replace

from openmoon.builders.workspace import Workspace
from openmoon.console import bar, console
from openmoon.data.coaugment.table import load_augmented, origin_of
from openmoon.data.views import Parts, Variants
from openmoon.errors import UserError
from openmoon.io import content_hash


def with_variants(work: Workspace, share: float) -> Parts:
    """The products with what `<workdir>/augmented/augmented.parquet` keeps for them; `UserError` where there is no such table and
    where it was made of other products."""
    path = work.recipe.workdir / "augmented" / "augmented.parquet"
    augmented = load_augmented(path)
    if origin_of(path).products != training_products(work):
        raise UserError(f"{path}: was not made of these training products with these texts and pictures, or does not say so. Run "
                        "`openmoon data augment` again; pictures and answers that are there are not made twice.")  # fmt: skip
    ids = work.items["product_id"].to_list()
    texts, pictures = augmented.texts_of(ids), augmented.images_of(ids)
    paths = [path for row in pictures for path in row]
    with bar("Decoding augmented pictures", len(paths)) as (progress, task):
        unreadable = work.images.fill(paths, progress=lambda n: progress.advance(task, n))
    if unreadable:
        example, why = next(iter(unreadable.items()))
        console.print(f"  [yellow]{len(unreadable):,} augmented pictures left out[/]: cannot be read, such as {example} ({why})")
    keys = dict(zip(paths, work.images.readable(paths), strict=True))
    images = [[key for path in row if (key := keys[path]) is not None] for row in pictures]
    console.print(f"  variants: {sum(map(len, texts)):,} texts and {sum(map(len, images)):,} pictures of "
                  f"{sum(bool(t or i) for t, i in zip(texts, images, strict=True)):,} products")  # fmt: skip
    if not any(map(len, texts)) and not any(map(len, images)):
        usable = "variant that can be read" if unreadable else "variant"
        raise UserError(f"{path}: keeps no {usable} of any product; its columns `kept` and `reason` say why. Change the augment "
                        "section and run `openmoon data augment` again, or set posttrain.coaugment=0.")  # fmt: skip
    return replace(work.parts, variants=Variants(texts, images, share))


def training_products(work: Workspace) -> str:
    """Identity of what is augmented, whatever its order: texts and pictures of the training products."""
    products = work.items[work.learnt_rows].sort("product_id").select("product_id", "title", "rich", "image_key")
    return content_hash(products.write_ndjson())[:16]


def variants_hash(items: Parts) -> str:
    """Identity of the variants, which a run's checkpoint belongs to; empty where there are none."""
    if items.variants is None:
        return ""
    return content_hash(repr(items.variants.texts), repr(items.variants.images))
