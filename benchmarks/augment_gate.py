"""What the gate of `openmoon data augment` keeps of the augmented texts and pictures, and of the same planted on other products.

    python benchmarks/augment_gate.py recipes/sample.yaml [KEY=VALUE]… [--encoder FOLDER]

Run `openmoon data augment` with the same recipe first. A planted one is an augmented text or picture that is said to be of
another product, drawn from the same category or from all, never of the same SPU. Writes `<workdir>/augmented/gate.json`.
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from openmoon.builders.trained import latest_folder
from openmoon.builders.workspace import open_workspace
from openmoon.config import load_recipe
from openmoon.data.coaugment.gate import judge
from openmoon.errors import one_line
from openmoon.io import write_json
from openmoon.models.encoder import ProductEncoder
from openmoon.models.inputs import Input
from openmoon.models.onnx.trunks import accelerate
from openmoon.runtime import machine, versions
from openmoon.steps.augment import anchors_of, encode_inputs

NEARER = (0.9, 0.95, 0.98, 0.99, 0.995)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--encoder", type=Path)
    args = parser.parse_args()
    recipe = load_recipe(args.recipe, args.overrides)
    folder, slack = recipe.workdir / "augmented", recipe.augment.slack
    if not (folder / "augmented.parquet").is_file():
        parser.error(f"{folder / 'augmented.parquet'}: no such file; run `openmoon data augment {args.recipe}` first")
    work = open_workspace(recipe)
    items = work.items[work.learnt_rows].sort("product_id")
    encoder = accelerate(ProductEncoder.from_pretrained(args.encoder or latest_folder(recipe)), recipe.workdir / "onnx")
    anchors = anchors_of(work, items, encoder, recipe.augment.others)
    made = pl.read_parquet(folder / "augmented.parquet").filter(pl.col("score").is_not_null())
    made = made.join(items.select("product_id").with_row_index("row"), on="product_id", how="left", maintain_order="left")
    found: list[dict[str, Any]] = []
    for kind in ("text", "image"):
        rows = made.filter(kind=kind)
        inputs = [Input(text, folder / image if image else None) for text, image in rows.select("text", "image").iter_rows()]
        vectors = encode_inputs(encoder, inputs, recipe.embed.batch_size, f"Encoding {kind}s")
        own = rows["row"].to_numpy().astype(np.int64)
        for name, owner in owners(own, items, anchors.family, recipe.seed).items():
            judgement, there = judge(kind, vectors[owner >= 0], owner[owner >= 0], anchors), int((owner >= 0).sum())
            kept = [sum(reason is None for reason in judgement.reasons(nearer, slack)) / there for nearer in NEARER]
            shares = dict(zip(map(str, NEARER), kept, strict=True))
            found.append({"kind": kind, "said to be of": name, "count": there, "kept": shares})
    write_json(folder / "gate.json", {"slack": slack, "results": found, "versions": versions(), "machine": machine()})
    print("| kind | said to be of | count |" + "".join(f" nearer {nearer} |" for nearer in NEARER))
    print("|---|---|---:|" + "---:|" * len(NEARER))
    for row in found:
        cells = "".join(f" {share:.3f} |" for share in row["kept"].values())
        print(f"| {row['kind']} | {row['said to be of']} | {row['count']:,} |{cells}")


def owners(own: np.ndarray, items: pl.DataFrame, family: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Rows of `items` (N,) that each of N augmentations is said to be of: its own, or another; −1 where there is none."""
    rng = np.random.default_rng(seed)
    category = items["category"].fill_null("").to_numpy()

    def other(row: int, alike: bool) -> int:
        rows = np.flatnonzero((family != family[row]) & ((category == category[row]) | (not alike)))
        return int(rng.choice(rows)) if len(rows) else -1

    return {
        "its own product": own,
        "another of its category": np.array([other(row, True) for row in own]),
        "any other product": np.array([other(row, False) for row in own]),
    }


if __name__ == "__main__":
    with one_line():
        main()
