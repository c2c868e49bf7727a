"""What the shop's catalogue says about its products: noisy titles, gappy attributes, missing pictures."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from openmoon.data.sample.random_text import mistype, pick
from openmoon.data.sample.words import DEPARTMENTS, POOR_TITLES, PRAISE, SHOUTING

OPENING = datetime(2025, 3, 3)  # day 0 of the log
_NO_TITLE, _POOR_TITLE, _NO_ATTRIBUTE, _NO_DESCRIPTION = 0.02, 0.06, 0.15, 0.3
_ATTRIBUTES = ("brand", "colour", "material", "pattern", "use", "variant")


def list_products(products: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    """The public catalogue (see DESIGN: the tables) of true products; image paths are `images/<product_id>.jpg`."""
    rows = list(products.iter_rows(named=True))
    age = random.integers(1, 400, products.height)
    titles = [_title(row, n, random) for n, row in enumerate(rows)]
    return pl.DataFrame(
        {
            "product_id": products["product_id"],
            "title": [t if t or row["has_picture"] else row["type"] for t, row in zip(titles, rows, strict=True)],
            "image": [f"images/{row['product_id']}.jpg" if row["has_picture"] else None for row in rows],
            "category": [f"{DEPARTMENTS[row['type']]} > {row['type'].capitalize()}" for row in rows],
            "attributes": [_attributes(row, random) for row in rows],
            "description": [_description(row, random) for row in rows],
            "spu_id": products["spu_id"],
            "price": products["price"],
            "shop_id": ["shop-" + row["brand"].split()[0].lower() for row in rows],
            "created_at": [
                OPENING + timedelta(days=row["born_day"] or -int(a)) for row, a in zip(rows, age, strict=True)
            ],
        },
        schema_overrides={
            "title": pl.String,
            "image": pl.String,
            "attributes": pl.String,
            "description": pl.String,
            "created_at": pl.Datetime("us"),
        },
    )


def _title(row: dict[str, Any], number: int, random: np.random.Generator) -> str | None:
    toss = random.random(8)
    if toss[0] < _NO_TITLE:
        return None
    if toss[0] < _NO_TITLE + _POOR_TITLE:
        return pick(random, POOR_TITLES).format(n=1000 + number, type=row["type"], brand=row["brand"])
    words = [row["brand"]] if toss[1] < 0.75 else []
    words += [pick(random, PRAISE)] if toss[2] < 0.35 else []
    words += [row["colour"]] if toss[3] < 0.65 else []
    words += [row["pattern"]] if toss[4] < (0.15 if row["pattern"] == "plain" else 0.7) else []
    words += [row["material"]] if toss[5] < 0.5 else []
    words += [row["variant"]] if toss[6] < 0.7 else []
    words.append(row["type"])
    words += ["size " + row["size"]] if row["size"] != "M" or random.random() < 0.1 else []
    if toss[7] < 0.12:
        words.insert(int(random.integers(2)) * len(words), pick(random, SHOUTING))
    elif toss[7] < 0.3:
        words = [*words[1:], words[0]]
    title = " ".join(words)
    return mistype(random, title) if random.random() < 0.06 else title


def _attributes(row: dict[str, Any], random: np.random.Generator) -> str | None:
    kept = {name: row[name] for name in _ATTRIBUTES if random.random() >= _NO_ATTRIBUTE}
    kept |= {"size": row["size"]} if row["size"] != "M" else {}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False) if kept else None


def _description(row: dict[str, Any], random: np.random.Generator) -> str | None:
    if random.random() < _NO_DESCRIPTION:
        return None
    accent = f" with {row['second_colour']} details" if row["colour"] != row["second_colour"] else ""
    return (
        f"{pick(random, PRAISE).capitalize()} {row['variant']} {row['type']} by {row['brand']}, "
        f"made of {row['material']}. "
        f"{row['pattern'].capitalize()} design in {row['colour']}{accent}. Good for the {row['use']}."
    )
