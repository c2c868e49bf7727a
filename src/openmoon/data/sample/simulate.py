"""The same shoppers on a real catalogue: its attributes give tastes and relevance, its photos become shopper photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from rich.progress import Progress

from openmoon.data.sample.catalog import NEW_SHARE
from openmoon.data.sample.drawing.studio import ShopperJob, draw_all
from openmoon.data.sample.listing import OPENING
from openmoon.data.sample.log import run_log
from openmoon.data.sample.place import new_shop
from openmoon.data.sample.queries import Photos, Queries, plan_photos
from openmoon.data.sample.real_catalog import catalog_space, catalog_traits, write_catalog_texts
from openmoon.data.sample.summary import ShopSummary, summarise
from openmoon.data.sample.world import DAYS, make_world
from openmoon.data.sample.write import write_log
from openmoon.data.schema import REJECTED
from openmoon.errors import UserError
from openmoon.io import write_json


def simulate_on_catalog(
    catalog: pl.DataFrame,
    image_path: Callable[[str], Path],
    out: Path,
    users: int = 2000,
    seed: int = 0,
    photos: int | None = None,
    progress: bool = False,
    workers: int | None = None,
    rejected: pl.DataFrame | None = None,
    reads: Sequence[Path] = (),
) -> ShopSummary:
    """Simulate shoppers on a real catalogue and write a shop without creatives into the folder `out`.

    Args:
        catalog: the normalised table; category and attributes (JSON) become the traits that people have tastes for.
        image_path: where the picture that a row's `image` names lies.
        photos: shopper photos in all; default one per product with a picture. Unreadable pictures get none; the
            summary counts them.
        reads: files beside the pictures that must not be written over: the catalogue's own.
        rejected: what `load_catalog` rejected; it is written to rejected.parquet together with unreadable pictures.

    Files: catalog.parquet (image paths absolute), events.parquet, photos/, truth/, rejected.parquet, summary.json.
    Raises `UserError` for an empty catalogue, no users, or a folder that holds something else.
    """
    if not catalog.height or users < 1:
        raise UserError(f"data simulate: {catalog.height} products, {users} users: at least one of each is needed.")
    streams = [np.random.default_rng([seed, 200 + topic]) for topic in range(5)]
    spu = catalog["spu_id"].fill_null(catalog["product_id"]) if "spu_id" in catalog.columns else catalog["product_id"]
    traits, titles = catalog_traits(catalog), catalog["title"].fill_null("").to_list()
    space = catalog_space(traits, titles, spu, streams[0])
    products = pl.DataFrame(
        {
            "product_id": catalog["product_id"],
            "popularity": streams[1].lognormal(0, 1.1, catalog.height),
            "quality": streams[1].standard_normal(catalog.height),
            "born_day": streams[1].integers(1, DAYS - 5, catalog.height)
            * (streams[1].random(catalog.height) < NEW_SHARE),
        }
    ).with_columns(pl.col("born_day") - pl.col("born_day").min())
    texts = write_catalog_texts(traits, titles, list(space.blocks), streams[2])
    pictured = np.flatnonzero(catalog["image"].is_not_null().to_numpy())
    sources = [image_path(name).resolve() if name else None for name in catalog["image"].to_list()]
    plan = plan_photos(pictured, len(pictured) if photos is None else photos, streams[3])
    with new_shop(out, [*reads, *filter(None, sources)]) as folder, Progress(disable=not progress) as bar:
        (folder / "photos").mkdir()
        (folder / "truth").mkdir()
        jobs = [
            ShopperJob(folder / path, source, n, seed)
            for n, (path, row) in enumerate(zip(plan.path, plan.product.tolist(), strict=True))
            if (source := sources[row])
        ]
        reasons = draw_all(jobs, workers, bar, "Shopper photos")
        failed = [reason is not None for reason in reasons]
        taken = Photos(
            [path for path, bad in zip(plan.path, failed, strict=True) if not bad],
            plan.product[~np.array(failed, dtype=bool)],
        )
        queries = Queries(texts, taken, np.ones(len(space.blocks), dtype=bool))
        log = run_log(make_world(space, pl.Series(traits["category"]), products), queries, users, streams[4])
        absolute = pl.Series("image", [str(source) if source else None for source in sources], dtype=pl.String)
        catalog.with_columns(absolute).write_parquet(folder / "catalog.parquet")
        products.write_parquet(folder / "truth" / "products.parquet")
        unread = _unread(catalog["product_id"].gather(plan.product), jobs, reasons)
        left_out = unread if rejected is None else pl.concat([rejected, unread])
        left_out.write_parquet(folder / "rejected.parquet")
        counts = {
            "products": catalog.height,
            "users": users,
            "shopper_photos": len(taken.path),
            "texts": len(texts.text),
            "unreadable_pictures": int(np.sum(failed)),
            "rejected_rows": left_out.height - unread.height,
        }
        summary = summarise("simulated log on a catalogue", seed, counts | write_log(folder, log, OPENING), log)
        write_json(folder / "summary.json", summary.as_json())
    return summary


def _unread(products: pl.Series, jobs: list[ShopperJob], reasons: list[str | None]) -> pl.DataFrame:
    """Rejected rows for catalogue pictures of which no shopper photo could be made."""
    rows = [("images", None, product, reason, str(job.source))
            for product, job, reason in zip(products, jobs, reasons, strict=True) if reason is not None]  # fmt: skip
    return pl.DataFrame(rows, REJECTED, orient="row").unique(["product_id", "record"], maintain_order=True)
