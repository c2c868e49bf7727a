"""Advertising pictures of some products, several each, whose appeal has planted causes with names and known effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from openmoon.data.sample.random_text import pick
from openmoon.data.sample.words import SAID_TYPES, USES

PER_PRODUCT = 4
BEST_SIZE = 0.72
EFFECTS = {"subject_size": -7.0, "clutter": -0.13, "contrast": 0.7, "selling_text": 0.4, "query_match": 0.6}
SLOGANS = ("-30%", "NEW IN", "FREE SHIPPING", "BEST SELLER", "2 FOR 1", "LAST DAYS")
_BASE = -3.5


@dataclass(frozen=True)
class CreativePlan:
    """What one creative shows. subject_size: share of the picture's side. contrast: 0..1. text: the slogan or none."""

    creative_id: str
    row: int  # of the product
    scene: str
    subject_size: float
    clutter: int
    contrast: float
    text: str | None


def plan_creatives(
    products: pl.DataFrame, random: np.random.Generator
) -> tuple[list[CreativePlan], pl.DataFrame, pl.DataFrame]:
    """Plans to draw, the public creatives table, and the truth: every cause, its effect on the logit, and the true CTR.

    One product in eight, the popular ones first, has `PER_PRODUCT` creatives. Its queries name its use, which is a
    scene that a creative may or may not show.
    """
    count = min(products.height, max(10, products.height // 8))
    chosen = np.argsort(-products["popularity"].to_numpy(), kind="stable")[:count]
    rows = np.repeat(np.sort(chosen), PER_PRODUCT)
    n = len(rows)
    use = products["use"].to_numpy()[rows]
    other = random.choice(list(USES), n)
    scene = np.where(random.random(n) < 0.4, use, other)
    causes = {
        "subject_size": random.uniform(0.3, 0.95, n),
        "clutter": random.integers(0, 7, n),
        "contrast": random.uniform(0, 1, n),
        "selling_text": random.random(n) < 0.5,
        "query_match": scene == use,
    }
    slogan = [pick(random, SLOGANS) if said else None for said in causes["selling_text"].tolist()]
    effects = {
        "subject_size": EFFECTS["subject_size"] * (causes["subject_size"] - BEST_SIZE) ** 2,
        **{name: EFFECTS[name] * causes[name] for name in ("clutter", "contrast", "selling_text", "query_match")},
    }
    appeal = random.normal(0, 0.35, products.height)[rows] + random.normal(
        0, 0.06, n
    )  # of the product, and unexplained
    ctr = 1 / (1 + np.exp(-(_BASE + appeal + sum(effects.values()))))
    impressions = np.round(random.lognormal(8.4, 0.6, n)).astype(np.int64) + 200
    ids = [f"C{i:06d}" for i in range(n)]
    asked = {row: _queries(products.row(row, named=True), random) for row in sorted(set(rows.tolist()))}
    product_ids = products["product_id"].gather(rows)
    table = pl.DataFrame(
        {
            "creative_id": ids,
            "product_id": product_ids,
            "image": [f"creatives/{i}.jpg" for i in ids],
            "impressions": impressions,
            "clicks": random.binomial(impressions, ctr),
            "queries": [asked[row] for row in rows.tolist()],
        }
    )
    truth = pl.DataFrame(
        {
            "creative_id": ids,
            "product_id": product_ids,
            "scene": scene,
            "wanted_scene": use,
            **causes,
            "slogan": slogan,
            **{f"effect_{name}": effect for name, effect in effects.items()},
            "ctr_true": ctr,
        },
        schema_overrides={"slogan": pl.String},
    )
    plans = [
        CreativePlan(i, row, s, float(size), int(c), float(k), t)
        for i, row, s, size, c, k, t in zip(
            ids,
            rows.tolist(),
            scene.tolist(),
            causes["subject_size"],
            causes["clutter"],
            causes["contrast"],
            slogan,
            strict=True,
        )
    ]
    return plans, table, truth


def _queries(row: dict[str, str], random: np.random.Generator) -> list[str]:
    """The three texts that most often lead to a product: each names its type, and its use in other words."""
    said = [row["type"], *SAID_TYPES[row["type"]]]
    return [
        f"{lead}{pick(random, said)} {use}"
        for lead, use in zip((f"{row['colour']} ", "", ""), USES[row["use"]], strict=True)
    ]
