"""`openmoon embed`: catalogue → vectors table, streaming; only what is new or changed is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.config import Recipe
from openmoon.data.images import ImageRejected, read_file
from openmoon.data.shop import Shop, load_catalog
from openmoon.data.text import item_texts
from openmoon.io import atomic_path, content_hash
from openmoon.learnt import saved_learnt_until
from openmoon.models.encode import encode_stream
from openmoon.models.encoder import ProductEncoder
from openmoon.models.inputs import Input
from openmoon.models.onnx.trunks import accelerate
from openmoon.serving.vectors import Finished, VectorWriter, existing
from openmoon.steps.console import bar, console
from openmoon.steps.trained import latest_folder

CHUNK = 512  # products whose picture files are in memory at once


@dataclass(frozen=True)
class _Product:
    """What is embedded of one product, and the hash that tells whether it changed."""

    product_id: str
    source: Input
    content_hash: str


def encoder_name(recipe: Recipe, encoder: ProductEncoder) -> str:
    """What the vectors table's `encoder` column says, such as `sample@3f2a…`: equal names mean comparable vectors."""
    return f"{recipe.name}@{encoder.fingerprint()}"


def embed(recipe: Recipe, encoder_folder: Path | None = None) -> Finished:
    """Write `<workdir>/vectors.parquet`. A product with an unreadable picture is embedded by its text, and one with nothing
    left is skipped; both are listed with the reason in embed_rejected.parquet."""
    folder = encoder_folder or latest_folder(recipe)
    slow = ProductEncoder.from_pretrained(folder)
    encoder_id = encoder_name(recipe, slow)
    encoder = accelerate(slow, recipe.workdir / "onnx")
    shop = load_catalog(recipe.data)
    path = recipe.workdir / "vectors.parquet"
    writer = VectorWriter(path, encoder.dim, encoder_id, learnt_until=saved_learnt_until(folder))
    done = dict(existing(path, encoder_id).iter_rows())
    rejected: list[tuple[str, str]] = []
    current: list[tuple[str, str]] = []
    not_decoded: list[str] = []  # products whose picture file is the one that an earlier run looked at
    pending: deque[_Product] = deque()  # given to the encoder, vectors not yet back
    written = 0

    def unreadable(number: int, reason: str) -> None:
        rejected.append((pending[number - written].product_id, reason))

    with bar("Embedding", shop.catalog.height) as (progress, task), ThreadPoolExecutor(2) as pool:

        def changed() -> Iterator[Input]:
            for chunk in _products(shop, recipe.embed.view, pool, rejected):
                for product in chunk:
                    current.append((product.product_id, product.content_hash))
                    if done.get(product.product_id) != product.content_hash:
                        pending.append(product)
                        yield product.source
                    else:
                        if product.source.image is not None:
                            not_decoded.append(product.product_id)
                        progress.advance(task)

        for vectors in encode_stream(encoder, changed(), recipe.embed.batch_size, on_unreadable=unreadable):
            batch = [pending.popleft() for _ in vectors]
            usable = np.isfinite(vectors).all(1)
            kept = [p for p, ok in zip(batch, usable, strict=True) if ok]
            writer.write(_frame([(p.product_id, p.content_hash) for p in kept]), vectors[usable])
            written += len(batch)
            progress.advance(task, len(batch))
    finished = writer.finish(_frame(current))
    problems = recipe.workdir / "embed_rejected.parquet"
    _write_rejected(problems, [*_known_problems(problems, not_decoded), *rejected])
    unchanged = finished.rows - finished.added
    console.print(f"  {finished.added:,} products embedded, {unchanged:,} unchanged, {finished.dropped:,} gone")
    console.print(f"  wrote {path} ({finished.rows:,} vectors of {encoder.dim})")
    return finished


def _frame(rows: list[tuple[str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"product_id": pl.String, "content_hash": pl.String}, orient="row")


def _products(
    shop: Shop, view: str, pool: ThreadPoolExecutor, rejected: list[tuple[str, str]]
) -> Iterator[list[_Product]]:
    """The catalogue in chunks, picture files read (not decoded) by threads."""
    text, _, image = view.rpartition("+") if "+" in view else (view, "", view)
    items = shop.catalog.select("product_id", "image").join(
        item_texts(shop.catalog), on="product_id", maintain_order="left"
    )
    for chunk in items.iter_slices(CHUNK):
        texts = chunk[text].to_list() if text in chunk.columns and text != "image" else [None] * len(chunk)
        names = chunk["image"].to_list() if image == "image" else [None] * len(chunk)
        files = pool.map(lambda name: _read(shop, name), names)
        products = []
        for product_id, words, (data, reason) in zip(chunk["product_id"], texts, files, strict=True):
            if reason:
                rejected.append((product_id, reason))
            if words is None and data is None:
                rejected.append((product_id, f"nothing to embed under the view {view!r}"))
            else:
                products.append(_Product(product_id, Input(words, data), content_hash(words or "", data or b"")))
        yield products


def _read(shop: Shop, name: str | None) -> tuple[bytes | None, str | None]:
    try:
        return (read_file(shop.image_path(name)) if name else None), None
    except ImageRejected as error:
        return None, f"{name}: {error}"


def _known_problems(path: Path, products: list[str]) -> list[tuple[str, str]]:
    """What an earlier run found about pictures that are not decoded again."""
    if not path.exists():
        return []
    return pl.read_parquet(path).filter(pl.col("product_id").is_in(products)).rows()


def _write_rejected(path: Path, rejected: list[tuple[str, str]]) -> None:
    with atomic_path(path) as temporary:
        pl.DataFrame(rejected, schema={"product_id": pl.String, "reason": pl.String}, orient="row").write_parquet(
            temporary
        )
    if rejected:
        console.print(f"  [yellow]{len(rejected):,} products with problems[/]: reasons in {path}")
