"""The true products of the sample shop: SPUs drawn at random, their SKUs, and how each one looks."""

from __future__ import annotations

import numpy as np
import polars as pl

from openmoon.data.sample.drawing.render import Look
from openmoon.data.sample.drawing.shapes import SHAPES
from openmoon.data.sample.drawing.textures import PATTERNS
from openmoon.data.sample.words import BRANDS, COLOURS, MADE_OF, PRICES, USES
from openmoon.data.sample.world import DAYS

_SKUS_PER_SPU = (0.3, 0.3, 0.2, 0.2)
_PATTERN_SHARES = np.array([0.36, 0.1, 0.07, 0.09, 0.09, 0.1, 0.07, 0.05, 0.07])
_TWIN_SHARE = 0.06  # SKUs that differ from their sibling in size only, so that they look the same
NEW_SHARE = 0.2  # products that appear during the log
_NO_PICTURE = 0.03


def true_products(count: int, random: np.random.Generator) -> pl.DataFrame:
    """`count` products with everything that is true of them, one row each; a SPU's SKUs differ in colour or size."""
    spu = _spus(count, random)
    size = random.choice([1, 2, 3, 4], count, p=_SKUS_PER_SPU)
    owner = np.repeat(np.arange(count), size)[:count]
    number = (np.arange(count) - np.searchsorted(owner, owner)).astype(int)  # 0, 1, … within the SPU
    twin = (number > 0) & (random.random(count) < _TWIN_SHARE)
    step = np.where(twin, number - 1, number)
    colours = spu.pop("colours")[owner]
    rows = np.arange(count)
    main = colours[rows, step]
    second = np.where(spu.pop("same_accent")[owner], colours[:, -1], colours[rows, -1 - step])
    shade = spu.pop("shade")[owner]
    palette = np.array(list(COLOURS.values()))
    names = np.array(list(COLOURS))
    frame = {name: values[owner] for name, values in spu.items()}
    return pl.DataFrame(
        {
            "product_id": [f"P{i:06d}" for i in range(count)],
            "spu_id": [f"S{i:06d}" for i in owner.tolist()],
            **frame,
            "colour": names[main],
            "second_colour": names[second],
            "main_rgb": np.clip(palette[main] + shade[:, 0], 8, 246),
            "second_rgb": np.clip(palette[second] + shade[:, 1], 8, 246),
            "size": np.where(twin, "L", "M"),
            "price": np.round(spu["price"][owner] * random.uniform(0.95, 1.05, count), 2),
            "quality": random.standard_normal(count),
            "popularity": spu["popularity"][owner] * random.lognormal(0, 0.5, count),
            "born_day": np.where(random.random(count) < NEW_SHARE, random.integers(1, DAYS - 5, count), 0),
            "has_picture": random.random(count) >= _NO_PICTURE,
        }
    )


def _spus(count: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    kinds = list(SHAPES)
    kind = random.integers(len(kinds), size=count)
    variants = [SHAPES[k].variants for k in kinds]
    toss = random.random((count, 2))
    type_name = np.array(kinds)[kind]
    return {
        "type": type_name,
        "variant": np.array(
            [variants[k][int(t * len(variants[k]))] for k, t in zip(kind.tolist(), toss[:, 0].tolist(), strict=True)]
        ),
        "material": np.array(
            [MADE_OF[k][int(t * len(MADE_OF[k]))] for k, t in zip(type_name.tolist(), toss[:, 1].tolist(), strict=True)]
        ),
        "pattern": random.choice(list(PATTERNS), count, p=_PATTERN_SHARES),
        "brand": random.choice(BRANDS, count),
        "use": random.choice(list(USES), count),
        "g": random.uniform(-1, 1, (count, 4)),
        "period": random.uniform(9, 24, count),
        "angle": random.choice([0.0, 0.0, np.pi / 4, np.pi / 2], count),
        "price": np.array([PRICES[k] for k in type_name.tolist()]) * random.lognormal(0, 0.35, count),
        "popularity": random.lognormal(0, 0.9, count),
        "colours": random.permuted(np.tile(np.arange(len(COLOURS)), (count, 1)), axis=1),
        "same_accent": random.random(count) < 0.6,
        "shade": random.normal(0, 9, (count, 2, 3)).round().astype(int),
    }


def looks(products: pl.DataFrame) -> list[Look]:
    """How each true product looks."""
    return [
        Look(
            row["type"],
            row["variant"],
            tuple(row["g"]),
            tuple(row["main_rgb"]),
            tuple(row["second_rgb"]),
            row["pattern"],
            row["period"],
            row["angle"],
            row["material"],
            BRANDS.index(row["brand"]),
        )
        for row in products.iter_rows(named=True)
    ]
