"""Creatives: their planted causes decide their click rates, and can be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from openmoon.data.sample import ShopSummary
from openmoon.data.sample.catalog import looks, true_products
from openmoon.data.sample.creatives import EFFECTS, CreativePlan, plan_creatives
from openmoon.data.sample.drawing.render import draw_product
from openmoon.data.sample.drawing.scenes import creative_picture


def test_causes_explain_the_click_rates() -> None:
    true = true_products(1600, np.random.default_rng(0))
    _, table, truth = plan_creatives(true, np.random.default_rng(1))
    assert (table["clicks"] <= table["impressions"]).all()
    joined = table.join(truth.drop("product_id"), on="creative_id").with_columns(
        ctr=(pl.col("clicks") + 0.5) / (pl.col("impressions") + 1)
    )
    logit = (pl.col("ctr") / (1 - pl.col("ctr"))).log()
    effects = pl.sum_horizontal([f"effect_{name}" for name in EFFECTS])
    within = joined.select(  # a product's own appeal is the same for all of its creatives
        observed=logit - logit.mean().over("product_id"), planted=effects - effects.mean().over("product_id")
    )
    assert within.select(pl.corr("observed", "planted")).item() > 0.9


def test_queries_match_exactly_the_scene_that_they_name() -> None:
    true = true_products(400, np.random.default_rng(0))
    _, table, truth = plan_creatives(true, np.random.default_rng(1))
    assert ((truth["scene"] == truth["wanted_scene"]) == truth["query_match"]).all()
    assert 0.2 < truth["query_match"].mean() < 0.8
    assert (table["queries"].list.len() == 3).all()


def test_a_cause_shows_in_the_picture() -> None:
    look = looks(true_products(32, np.random.default_rng(4)))[0]
    cutout = draw_product(look)
    plain = {
        "creative_id": "C0",
        "row": 0,
        "scene": "snow",
        "subject_size": 0.6,
        "clutter": 0,
        "contrast": 1.0,
        "text": None,
    }

    def picture(**changes: object) -> np.ndarray:
        plan = CreativePlan(**{**plain, **changes})
        return np.asarray(creative_picture(cutout, plan, np.random.default_rng(0)), dtype=float)

    base = picture()
    for change in ({"subject_size": 0.9}, {"clutter": 6}, {"contrast": 0.1}, {"text": "-30%"}, {"scene": "beach"}):
        assert np.abs(picture(**change) - base).mean() > 1.5, change


def test_creatives_of_a_product_differ(shop: tuple[Path, ShopSummary]) -> None:
    folder, _ = shop
    table = pl.read_parquet(folder / "creatives.parquet")
    one = table.filter(pl.col("product_id") == table["product_id"][0])["image"].to_list()
    pictures = [np.asarray(Image.open(folder / path), dtype=float) for path in one]
    assert len(pictures) == 4
    assert min(np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]) > 3
