"""Which products a trained encoder fails to find by photo, on the photos it is measured on and on those that decided when its
training stopped.

    python benchmarks/errors.py recipes/grocery.yaml --worst 3

Words that contain = change the recipe, as in `openmoon evaluate`. The last line of the table is without the `--worst` products.
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
import sys
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.builders.held_out import held_out_items
from openmoon.builders.systems import CachedEncode, scratch_folder
from openmoon.builders.trained import load_trained
from openmoon.builders.workspace import Workspace, open_workspace
from openmoon.config import load_recipe
from openmoon.errors import one_line
from openmoon.evaluation.ranking import count_better
from openmoon.models.encoder import ProductEncoder

VIEWS = {"picture": {"image": "image"}, "text and picture": {"text": "rich", "image": "image"}}  # columns of the products
SPLITS = {"test": "held out", "val": "decided when to stop"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--worst", type=int, default=3)
    args = parser.parse_args()
    work = open_workspace(load_recipe(args.recipe, args.overrides))
    encoder = load_trained(work, "posttrain")
    if encoder is None:
        sys.exit(f"{args.recipe}: stage 2 has not been trained; run openmoon posttrain {args.recipe}")
    found = hits(work, encoder)
    wrong = (
        found.filter(split="test").group_by("title").agg(photos=pl.len(), missed=(1 - pl.col("text and picture")).sum())
    )
    worst = wrong.sort("missed", "title", descending=[True, False]).head(args.worst)
    print("| photos | " + " | ".join(f"R@1, {view}" for view in VIEWS) + " |\n|---|" + "---:|" * len(VIEWS))
    for split, name in SPLITS.items():
        print(line(name, found.filter(split=split)))
    print(line(f"held out, without {args.worst} products", found.filter(split="test").join(worst, on="title", how="anti")))
    print("\n| product | photos | missed |\n|---|---:|---:|")
    for title, photos, missed in worst.iter_rows():
        print(f"| {title} | {photos} | {missed:.0f} |")


def line(name: str, found: pl.DataFrame) -> str:
    """A row of the table: mean ± its standard error."""
    cells = []
    for view in VIEWS:
        mean = found[view].mean()
        assert isinstance(mean, float)
        cells.append(f"{mean:.3f} ± {np.sqrt(mean * (1 - mean) / len(found)):.3f}")
    return f"| {name}: {len(found)} | " + " | ".join(cells) + " |"


def hits(work: Workspace, encoder: ProductEncoder) -> pl.DataFrame:
    """split, title, and per view of the products whether the photo's product came first; a photo a row."""
    items = held_out_items(work).with_row_index("row")
    photos = work.pairs.drop_nulls("query_image_key").filter(pl.col("split").is_in(list(SPLITS)))
    photos = photos.with_columns(path=work.shop.readable_paths("query_image")).join(items, on="product_id", maintain_order="left")
    pairs = np.stack([np.arange(len(photos)), photos["row"].to_numpy()], 1)
    with scratch_folder(work.recipe.workdir) as folder:
        encode = CachedEncode(encoder, work.images, folder)
        queries = encode([{"image": path} for path in photos["path"]])
        better = {
            view: count_better(queries, encode(items.select(**columns).to_dicts()), pairs)[0] for view, columns in VIEWS.items()
        }
    return photos.select("split", "title").with_columns(pl.Series(view, b == 0).cast(pl.Float64) for view, b in better.items())


if __name__ == "__main__":
    with one_line():
        main()
