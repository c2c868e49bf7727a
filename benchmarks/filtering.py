"""Dynamic sample filtering against the planted noise of a sample shop: precision, recall and the share that is kept.

    python benchmarks/filtering.py recipes/ablation/no-dual.yaml --seed 0

A pair is planted noise when every event behind it is a noisy click (truth/events.parquet, which training never reads). Pairs are
scored as the filter sees them, in batches of the recipe's size with all negatives of the batch, at both ends of the training: by
what stage 2 started from with the first threshold, and by what it became with the last. A pair below δ is flagged. The kept
share over time is read from the run's log, printed at five moments and drawn to --out (.png). The run must be finished
(`openmoon run`, or benchmarks/ablation.py, whose folders end in -seed<N>).
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np
import polars as pl
import torch
from seeded import with_seed

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from openmoon.builders.pair_table import pair_table
from openmoon.builders.pairs import item_vectors, query_vectors, training_pairs
from openmoon.builders.systems import CachedEncode
from openmoon.builders.trained import latest_folder, starting_encoder
from openmoon.builders.workspace import Workspace, cache_folder, open_workspace
from openmoon.config import PosttrainConfig, Recipe, load_recipe
from openmoon.data.pairs.behaviour import behaviour_pairs
from openmoon.errors import one_line
from openmoon.io import write_json
from openmoon.losses import same_identity
from openmoon.models.encoder import ProductEncoder
from openmoon.runtime import machine, versions
from openmoon.training.filtering import SampleFilter
from openmoon.training.known import Known

MOMENTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the training
SMOOTHED = 10  # steps that a moment is the mean of
KEY = ["query_text", "query_image", "product_id"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--seed", type=int, help="of a run made by benchmarks/ablation.py")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/filtering"))
    args = parser.parse_args()
    recipe = load_recipe(args.recipe, args.overrides)
    if args.seed is not None:
        recipe = with_seed(args.recipe, args.overrides, args.seed)
    if recipe.posttrain is None or recipe.posttrain.filter is None:
        parser.error(f"{args.recipe}: posttrain.filter is off in this recipe")
    kept = kept_shares(recipe.workdir / "posttrain" / "metrics.jsonl")
    if not kept:
        parser.error(f"{recipe.workdir}: its log has no kept shares; it was trained without posttrain.filter")
    work = open_workspace(recipe)
    start = starting_encoder(work)
    found = training_pairs(work, start)
    pairs, chosen = found.pairs, found.chosen
    if pairs.is_empty():
        parser.error(f"{args.recipe}: posttrain.pairs leaves no pair; `openmoon data pairs` shows what each rule drops")
    noise = planted(recipe, pairs)
    rows = []
    print(f"{noise.sum():,} of {len(noise):,} training pairs are planted noise\n")
    print("| encoder | threshold | kept | precision | recall | AUC of the confidence |\n|---|---:|---:|---:|---:|---:|")
    sample_filter = SampleFilter(**recipe.posttrain.filter.model_dump())
    ends = (("at the start", start, 0.0),
            ("at the end", ProductEncoder.from_pretrained(latest_folder(recipe)), 1.0))  # fmt: skip
    for name, encoder, progress in ends:
        confidence = confidences(work, pairs, chosen, encoder, sample_filter, progress, recipe.posttrain)
        row = judged(confidence < sample_filter.delta, noise) | {"auc": auc(-confidence, noise)}
        rows.append({"encoder": name, "progress": progress, **row})
        print(f"| {name} | {sample_filter.start * (1 - progress):.2f} | {row['kept']:.3f} | {row['precision']:.3f} | "
              f"{row['recall']:.3f} | {row['auc']:.3f} |")  # fmt: skip
    print("\n| share of the batch that counts fully | " + " | ".join(f"{moment:.0%}" for moment in MOMENTS) + " |")
    print("|---|" + "---:|" * len(MOMENTS))
    for name, (_, shares) in kept.items():
        near = [shares[round(moment * (len(shares) - 1)) :][:SMOOTHED] for moment in MOMENTS[:-1]]
        print(f"| {name} | " + " | ".join(f"{np.mean(part):.3f}" for part in [*near, shares[-SMOOTHED:]]) + " |")
    draw(kept, args.out.with_suffix(".png"))
    write_json(args.out.with_suffix(".json"), {
        "pairs": len(noise), "noise": int(noise.sum()), "rows": rows, "kept": kept, "recipe": recipe.model_dump(mode="json"),
        "data_hash": work.data_hash, "versions": versions(), "machine": machine(),
    })  # fmt: skip


def planted(recipe: Recipe, pairs: pl.DataFrame) -> np.ndarray:
    """(P,) bool: pairs of which every event is a noisy click."""
    assert recipe.data.events is not None
    assert recipe.posttrain is not None
    events = pl.read_parquet(recipe.data.root / recipe.data.events).with_columns(split=pl.lit(None, pl.String))
    noisy = pl.read_parquet(recipe.data.root / "truth" / "events.parquet", columns=["noisy"])["noisy"]
    sound = behaviour_pairs(events.filter(~noisy), recipe.posttrain.actions).select(KEY).with_columns(sound=True)
    return pairs.join(sound, on=KEY, how="left", nulls_equal=True, maintain_order="left")["sound"].is_null().to_numpy()


def confidences(
    work: Workspace, pairs: pl.DataFrame, chosen: pl.DataFrame, encoder: ProductEncoder, sample_filter: SampleFilter,
    progress: float, config: PosttrainConfig,
) -> np.ndarray:  # fmt: skip
    """(P,) φ of each pair in a random batch, query and product with all that they have, which spares what training spared;
    `chosen` are the pairs before the rules."""
    encode = CachedEncode(encoder, work.images, cache_folder(work.recipe))
    queries, query = query_vectors(work, encode, pairs)
    products, item = np.unique(pairs["item"].to_numpy(), return_inverse=True)
    items = item_vectors(work, encode, products)
    table = pair_table(pairs, chosen, spare=config.negatives.spare)
    spus = torch.from_numpy(work.spus[table.item])
    found = np.zeros(len(pairs))
    order = np.random.default_rng(0).permutation(len(pairs))
    for start in range(0, len(order), config.batch_size):
        rows = order[start : start + config.batch_size]
        scores = torch.from_numpy(queries[query[rows]] @ items[item[rows]].T)
        here, everyone = spus[rows], torch.arange(len(rows))
        ignore = Known.of(table.known("text+image"), rows, work.spus).among(everyone, here)
        if config.negatives.spare != "nothing":
            ignore |= same_identity(here[None], here[None])
        found[rows] = sample_filter.confidence(scores, everyone, ignore, progress).numpy()
    return found


def judged(flagged: np.ndarray, noise: np.ndarray) -> dict[str, float]:
    """Of what was flagged the share that is noise, and of the noise the share that was flagged."""
    right = (flagged & noise).sum()
    return {"kept": 1 - float(flagged.mean()), "precision": float(right / max(flagged.sum(), 1)),
            "recall": float(right / max(noise.sum(), 1))}  # fmt: skip


def auc(score: np.ndarray, noise: np.ndarray) -> float:
    """Chance that noise scores above a sound pair, by ranks."""
    rank = pl.Series(score).rank().to_numpy()
    positives = noise.sum()
    return float((rank[noise].sum() - positives * (positives + 1) / 2) / (positives * (~noise).sum()))


def kept_shares(log: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and the share of each batch that counts fully, by objective."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for line in map(json.loads, log.read_text(encoding="utf-8").splitlines()):
        for name in (name for name in line if name.startswith("kept")):
            steps, shares = found.setdefault(name.removeprefix("kept").removeprefix(", ") or "all pairs", ([], []))
            steps.append(line["step"])
            shares.append(line[name])
    return found


def draw(kept: dict[str, tuple[list[int], list[float]]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for name, (steps, shares) in kept.items():
        axes.plot(steps, shares, lw=1, label=name)
    axes.set(xlabel="step", ylabel="share of the batch that counts fully", ylim=(0, 1.02))
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    with one_line():
        main()
