"""`openmoon data augment`: enriched texts and expanded pictures of the training products, judged by an encoder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.builders.inference import fast_encoder
from openmoon.builders.trained import latest_folder, starting_encoder, starts_untrained
from openmoon.builders.variants import training_products
from openmoon.builders.workspace import Workspace, open_workspace
from openmoon.config import AugmentConfig, EndpointConfig, Recipe
from openmoon.console import bar, console, plain
from openmoon.data.coaugment.chat import Failure
from openmoon.data.coaugment.cutout import NoSubject, cut_out
from openmoon.data.coaugment.endpoint import Endpoint, Request, ask_all, is_visible
from openmoon.data.coaugment.expansion import VERSION, Expansion, Job, draw_expansions, run_all
from openmoon.data.coaugment.gate import Anchors, judge
from openmoon.data.coaugment.identity import Brands, lost, protected
from openmoon.data.coaugment.journal import Journal
from openmoon.data.coaugment.product import Product, normal_name, products_of
from openmoon.data.coaugment.summary import AugmentSummary, summarise
from openmoon.data.coaugment.table import Made, Origin, write_table
from openmoon.data.coaugment.templates import enrich
from openmoon.data.images import load_limited
from openmoon.errors import UserError, nearest
from openmoon.io import alone, content_hash, hash_number
from openmoon.models.encode import encode_stream
from openmoon.models.encoder import ProductEncoder
from openmoon.models.inputs import Input
from openmoon.serving.augmentation_sheet import Item, Shown, on_checks, write_augmentation_sheet

SHOWN = 16  # products on the contact sheet


def augment(recipe: Recipe, encoder_folder: Path | None = None) -> AugmentSummary:
    """Write `<workdir>/augmented/augmented.parquet`, the pictures below `images/`, and contact_sheet.png.

    The gate looks through the encoder in `encoder_folder`, by default that of the last stage that was trained; where training
    starts from the bare trunks, through these.
    """
    config, folder = recipe.augment, recipe.workdir / "augmented"
    endpoint = _endpoint(config.texts.endpoint) if config.texts.endpoint else None
    bare = encoder_folder is None and starts_untrained(recipe)
    slow = None if bare else ProductEncoder.from_pretrained(encoder_folder or latest_folder(recipe))
    work = open_workspace(recipe)
    if slow is None:
        console.print("  encoder: the bare trunks, from which this recipe starts")
        slow = starting_encoder(work)
    items = work.items[work.learnt_rows].sort("product_id")
    if items.is_empty():
        raise UserError("data.split: no training product is left to augment; lower data.split.val and data.split.test.")
    catalog = items.select("product_id", "title", "category").join(
        work.shop.catalog.select("product_id", "description", "attributes"), on="product_id", how="left", maintain_order="left"
    )
    products = products_of(catalog)
    everyone = products_of(work.shop.catalog)
    _require_attributes(config.texts.protect, everyone)
    made = list(_templates(products, config, recipe.seed))
    with alone(folder):
        if endpoint is not None:
            made += _answers(endpoint, products, _paths(work, items), folder)
        made = _checked(made, products, Brands(everyone), config.texts.protect)
        if config.pictures.per_product:
            made += _pictures(work, items, config, folder)
        encoder = fast_encoder(slow, recipe.workdir / "onnx")
        made = _judged(made, work, items, encoder, folder, config)
        origin = Origin(training_products(work), slow.fingerprint(), config.model_dump_json(exclude_defaults=True))
        table = write_table(folder / "augmented.parquet", made, origin)
        _sheet(folder, table, work, items, config)
    kept = f"{int(table['kept'].sum()):,} of {len(table):,} rows kept"
    console.print(f"  wrote {plain(folder / 'augmented.parquet')} ({kept})")
    console.print(f"  wrote {plain(folder / 'contact_sheet.png')}")
    return summarise(table, len(products))


def _require_attributes(protect: Sequence[str], products: Sequence[Product]) -> None:
    there = {normal_name(name): name for product in products for name in product.attributes}
    for name in protect:
        if normal_name(name) not in there:
            raise UserError(f"augment.texts.protect: no product has an attribute {name!r}.{nearest(name, there.values())}")


def _endpoint(config: EndpointConfig) -> Endpoint:
    key = None
    if config.key is not None and not (key := os.environ.get(config.key)):
        raise UserError(f"augment.texts.endpoint.key: the environment variable {config.key} is not set; it must hold the key of "
                        f"{config.url}. Set it, or use key: null for a server that wants none.")  # fmt: skip
    if key is not None and not is_visible(key := key.strip()):
        raise UserError(f"augment.texts.endpoint.key: the environment variable {config.key} holds something that is no key: "
                        "expected visible ASCII letters without spaces. Copy the key again.")  # fmt: skip
    settings = config.model_dump(exclude={"key"})
    return Endpoint(**settings, key=key)


def _templates(products: Sequence[Product], config: AugmentConfig, seed: int) -> Iterator[Made]:
    for product in products:
        for text, recipe in enrich(product, config.texts.templates, seed, tuple(config.texts.protect)):
            yield Made(product.product_id, "text", "templates", text, recipe=recipe)


def _answers(endpoint: Endpoint, products: Sequence[Product], paths: Sequence[Path | None], folder: Path) -> list[Made]:
    """The endpoint's text for each product, or the reason why there is none, in their order."""
    answers = Journal(folder / "answers.jsonl")
    source = f"endpoint:{endpoint.model}"
    requests = [Request(product, path) for product, path in zip(products, paths, strict=True)]
    found: dict[int, Made] = {}
    with bar("Asking the endpoint", len(requests)) as (progress, task):
        for place, answer in ask_all(endpoint, requests, answers, advance=lambda n: progress.advance(task, n)):
            product_id = products[place].product_id
            recipe = {"model": endpoint.model, "picture": paths[place] is not None}
            if isinstance(answer, Failure):
                found[place] = Made(product_id, "text", source, recipe=recipe, reason=f"no answer: {answer}")
            else:
                found[place] = Made(product_id, "text", source, answer, recipe=recipe)
    return [found[place] for place in range(len(requests))]


def _checked(made: Sequence[Made], products: Sequence[Product], brands: Brands, protect: Sequence[str]) -> list[Made]:
    """The texts, with the reason where one loses a protected string of the title or names another's brand."""
    known = {product.product_id: product for product in products}

    def fault(row: Made) -> str | None:
        if row.text is None:
            return row.reason
        product = known[row.product_id]
        if gone := lost(row.text, protected(product, protect)):
            return f"lost or changed: {gone[0]}"
        strangers = brands.strangers(row.text, product)
        return f"names another brand: {strangers[0]}" if strangers else None

    return [row._replace(reason=fault(row)) for row in made]


def _pictures(work: Workspace, items: pl.DataFrame, config: AugmentConfig, folder: Path) -> list[Made]:
    """Expanded pictures of each product that has one, or the reason why its subject cannot be cut out."""
    done = Journal(folder / "pictures.jsonl")
    shown = items.filter(pl.col("image_key").is_not_null())
    names = shown["image"].unique().sort().to_list()
    keys = dict(shown.select("image", "image_key").iter_rows())
    settings = config.pictures
    jobs: list[tuple[str, Job, str]] = []  # product, what to do, its identity
    for product_id, name in shown.select("product_id", "image").iter_rows():
        drawn = tuple(draw_expansions(product_id, settings.per_product, work.recipe.seed, names))
        others = {other: work.shop.image_path(other) for expansion in drawn for other in expansion.others}
        job = Job(work.shop.image_path(name), drawn, others, folder / "images", settings.format, settings.side)
        seen = [keys[name], *(keys[other] for other in others)]
        jobs.append((product_id, job, content_hash(str(VERSION), settings.model_dump_json(), repr(drawn), *seen)))
    waiting = [(job, key) for _, job, key in jobs if not _is_done(done, key, job.folder)]
    with bar("Expanding pictures", len(waiting)) as (progress, task):
        for place, outcome in run_all([job for job, _ in waiting], advance=lambda n: progress.advance(task, n)):
            done.add(waiting[place][1], outcome)
    return [row for product_id, job, key in jobs for row in _expanded(product_id, job.expansions, done[key])]


def _is_done(done: Journal, key: str, folder: Path) -> bool:
    if key not in done:
        return False
    return isinstance(done[key], str) or all((folder / name).is_file() for name in done[key])


def _expanded(product_id: str, drawn: Sequence[Expansion], outcome: list[str] | str) -> Iterator[Made]:
    if isinstance(outcome, str):
        yield Made(product_id, "image", "expansion", reason=outcome)
        return
    for expansion, name in zip(drawn, outcome, strict=True):
        yield Made(product_id, "image", "expansion", image=f"images/{name}", recipe=expansion.described())


def _judged(
    made: Sequence[Made], work: Workspace, items: pl.DataFrame, encoder: ProductEncoder, folder: Path, config: AugmentConfig
) -> list[Made]:
    """The same rows with their score, and the reason where the gate drops them."""
    rows = {product_id: row for row, product_id in enumerate(items["product_id"])}
    anchors = anchors_of(work, items, encoder, config.others)
    judged = list(made)
    for kind in ("text", "image"):
        places = [n for n, row in enumerate(made) if row.kind == kind and row.reason is None]
        inputs = [Input(made[n].text, folder / str(made[n].image) if kind == "image" else None) for n in places]
        vectors = encode_inputs(encoder, inputs, work.recipe.embed.batch_size, f"Judging {kind}s")
        owner = np.array([rows[made[n].product_id] for n in places], np.int64)
        found = judge(kind, vectors, owner, anchors)
        scores = found.score.round(4).tolist()
        for place, score, reason in zip(places, scores, found.reasons(config.nearer, config.slack), strict=True):
            judged[place] = made[place]._replace(score=score, reason=reason)
    return judged


def anchors_of(work: Workspace, items: pl.DataFrame, encoder: ProductEncoder, count: int) -> Anchors:
    """What the gate compares with: the products' own titles (richer texts where there is none) and pictures."""
    texts = items.select(pl.coalesce("title", "rich")).to_series().to_list()
    paths = _paths(work, items)
    inputs = [Input(text, None) if text else None for text in texts], [Input(None, path) if path else None for path in paths]
    found = []
    for parts in inputs:
        there = np.flatnonzero([part is not None for part in parts])
        vectors = np.full((len(parts), encoder.dim), np.nan, np.float32)
        given = [part for part in parts if part]
        vectors[there] = encode_inputs(encoder, given, work.recipe.embed.batch_size, "Reading the originals")
        found.append(vectors)
    drawn = sorted(range(len(items)), key=lambda row: hash_number(f"{work.recipe.seed}/others/{items['product_id'][row]}"))
    family = items["spu_id"].rank("dense").to_numpy().astype(np.int64)
    return Anchors(found[0], found[1], family, np.sort(np.array(drawn[:count], np.int64)))


def encode_inputs(encoder: ProductEncoder, inputs: Sequence[Input], batch_size: int, what: str) -> np.ndarray:
    """Vectors (N, dim) of texts or pictures, in order, under a progress bar that says `what`."""
    vectors = [np.empty((0, encoder.dim), np.float32)]
    with bar(what, len(inputs)) as (progress, task):
        for chunk in encode_stream(encoder, inputs, batch_size):
            vectors.append(chunk)
            progress.advance(task, len(chunk))
    return np.concatenate(vectors)


def _paths(work: Workspace, items: pl.DataFrame) -> list[Path | None]:
    readable = items.select("image", pl.col("image_key").is_not_null()).iter_rows()
    return [work.shop.image_path(name) if usable else None for name, usable in readable]


def _sheet(folder: Path, table: pl.DataFrame, work: Workspace, items: pl.DataFrame, config: AugmentConfig) -> None:
    """The contact sheet: products drawn by hash, half of them from those of which something was left out."""
    spoiled = set(table.filter(~pl.col("kept"))["product_id"])
    order = sorted(items["product_id"], key=lambda product_id: hash_number(f"{work.recipe.seed}/sheet/{product_id}"))
    bad = [product_id for product_id in order if product_id in spoiled][: SHOWN // 2]
    good = [product_id for product_id in order if product_id not in spoiled][: SHOWN - len(bad)]
    paths = dict(zip(items["product_id"], _paths(work, items), strict=True))
    titles = dict(items.select("product_id", pl.coalesce("title", "rich")).iter_rows())
    shown = []
    for product_id in good + bad:
        rows = list(table.filter(product_id=product_id).iter_rows(named=True))
        texts = [Item(row["text"] or "—", "T⁺", row["reason"]) for row in rows if row["kind"] == "text"]
        pictures = list(_shown_pictures(folder, paths[product_id], [row for row in rows if row["kind"] == "image"], config))
        shown.append(Shown(pictures, [Item(titles[product_id] or "—", "T"), *texts]))
    write_augmentation_sheet(folder / "contact_sheet.png", shown)


def _shown_pictures(folder: Path, path: Path | None, rows: list[dict[str, object]], config: AugmentConfig) -> Iterator[Item]:
    original = load_limited(path, config.pictures.side) if path else None
    yield Item(original, "original" if path else "no picture")
    if original is None or not rows:
        return
    try:
        cutout = cut_out(original)
    except NoSubject as error:
        yield Item(None, "cut-out", str(error))
        return
    yield Item(on_checks(cutout.light, cutout.cover), "cut-out")
    for row in rows:
        label = f"score {row['score']:.3f}" if row["score"] is not None else ""
        yield Item(load_limited(folder / str(row["image"]), config.pictures.side), label, row["reason"])  # type: ignore[arg-type]
