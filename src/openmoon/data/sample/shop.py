"""Build the sample shop: draw its products, run its log, write its tables and, beside them, its truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from rich.progress import Progress

from openmoon.data.sample.catalog import looks, true_products
from openmoon.data.sample.creatives import plan_creatives
from openmoon.data.sample.drawing.studio import CatalogueJob, CreativeJob, ShopperJob, draw_all
from openmoon.data.sample.latent import LatentSpace, latent_space
from openmoon.data.sample.listing import OPENING, list_products
from openmoon.data.sample.log import run_log
from openmoon.data.sample.place import new_shop
from openmoon.data.sample.queries import Queries, plan_photos, write_texts
from openmoon.data.sample.summary import ShopSummary, summarise
from openmoon.data.sample.world import make_world
from openmoon.data.sample.write import write_log
from openmoon.errors import UserError
from openmoon.io import write_json

_SHARES = {
    "type": 0.28,
    "variant": 0.14,
    "colour": 0.2,
    "pattern": 0.12,
    "second_colour": 0.06,
    "material": 0.06,
    "brand": 0.05,
    "use": 0.03,
    "fine": 0.06,
}
_HIDDEN = "use"  # no photo shows it
_TEXTS_EACH = 2
_PHOTOS_PER_PRODUCT = 1.5


def build_sample_shop(
    out: Path,
    products: int = 2000,
    users: int = 2000,
    seed: int = 0,
    progress: bool = False,
    workers: int | None = None,
) -> ShopSummary:
    """Write a simulated shop into the folder `out` and return its counts and ceilings.

    Files: catalog.parquet, events.parquet, creatives.parquet, images/, photos/, creatives/, truth/*.parquet and
    summary.json. The same products, users and seed give the same bytes, whatever the number of workers. Raises
    `UserError` for a folder that holds something else, fewer than 32 products or no users.
    """
    if products < 32 or users < 1:
        raise UserError(
            f"data sample: products={products}, users={users}: a shop needs at least 32 products and 1 user."
        )
    streams = [np.random.default_rng([seed, 100 + topic]) for topic in range(6)]
    true = true_products(products, streams[0])
    space = _space(true)
    pictured = np.flatnonzero(true["has_picture"].to_numpy())
    photos = plan_photos(pictured, round(_PHOTOS_PER_PRODUCT * products), streams[1])
    texts = write_texts(true, list(space.blocks), _TEXTS_EACH, streams[2])
    queries = Queries(texts, photos, np.array([name != _HIDDEN for name in space.blocks]))
    log = run_log(make_world(space, true["type"], true), queries, users, streams[3])
    plans, creatives, creative_truth = plan_creatives(true, streams[4])
    with new_shop(out) as folder, Progress(disable=not progress) as bar:
        for name in ("images", "photos", "creatives", "truth"):
            (folder / name).mkdir(parents=True)
        look, ids = looks(true), true["product_id"].to_list()
        images = [CatalogueJob(folder / "images" / f"{ids[i]}.jpg", look[i], i, seed) for i in pictured.tolist()]
        shots = [
            ShopperJob(folder / path, look[i], n, seed)
            for n, (path, i) in enumerate(zip(photos.path, photos.product.tolist(), strict=True))
        ]
        ads = [
            CreativeJob(folder / "creatives" / f"{plan.creative_id}.jpg", look[plan.row], plan, n, seed)
            for n, plan in enumerate(plans)
        ]
        draw_all([*images, *shots, *ads], workers, bar, "Drawing")
        list_products(true, streams[5]).write_parquet(folder / "catalog.parquet")
        creatives.write_parquet(folder / "creatives.parquet")
        creative_truth.write_parquet(folder / "truth" / "creatives.parquet")
        true.write_parquet(folder / "truth" / "products.parquet")
        counts = {
            "products": products,
            "SPUs": true["spu_id"].n_unique(),
            "users": users,
            "shopper_photos": len(photos.path),
            "texts": len(texts.text),
            "creatives": len(plans),
        }
        summary = summarise("sample shop", seed, counts | write_log(folder, log, OPENING), log)
        write_json(folder / "summary.json", summary.as_json())
    return summary


def _space(true: pl.DataFrame) -> LatentSpace:
    traits = {name: true[name].to_list() for name in _SHARES if name != "fine"}
    traits["variant"] = [f"{t} {v}" for t, v in zip(true["type"], true["variant"], strict=True)]
    return latent_space(traits, {"fine": true["g"].to_numpy()}, _SHARES)
