"""Which experts serve which inputs, and what they cost against the dense layer.

    python benchmarks/experts.py recipes/ablation/full.yaml --seed 0

Held-out products of a finished run (with --seed of one that benchmarks/ablation.py made) are shown as text, as picture, and as
both; the share of their tokens that each expert got is printed and drawn (`<workdir>/experts.png`). Cost: one training step of
the fusion (forward and gradient) with experts and with the dense layers in their place, on the same tokens, interleaved, medians.
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
import time
from pathlib import Path

import matplotlib
import numpy as np
import polars as pl
import torch
from seeded import with_seed

from openmoon.builders.held_out import held_out_items
from openmoon.builders.systems import TrunkTokens, scratch_folder
from openmoon.builders.trained import load_trained
from openmoon.builders.workspace import open_workspace
from openmoon.config import load_recipe
from openmoon.errors import UserError, one_line
from openmoon.io import atomic_path, write_json
from openmoon.models.encoder import ProductEncoder, build_encoder
from openmoon.models.experts import COMPOSITIONS, LOAD
from openmoon.models.tokens import Tokens
from openmoon.runtime import machine, versions

ROWS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, help="of a run made by benchmarks/ablation.py")
    args = parser.parse_args()
    recipe = load_recipe(args.recipe, args.overrides)
    if args.seed is not None:
        recipe = with_seed(args.recipe, args.overrides, args.seed)
    work = open_workspace(recipe)
    encoder = load_trained(work, "posttrain")
    if encoder is None or not recipe.encoder.fusion.experts:
        raise UserError(f"{recipe.workdir}: needs an encoder with experts; run `openmoon posttrain` with "
                        "encoder.fusion.experts=4 first.")  # fmt: skip
    items = held_out_items(work).filter(pl.col("image").is_not_null() & pl.col("rich").is_not_null())
    with scratch_folder(recipe.workdir) as temporary:
        tokens = TrunkTokens(encoder, work.images, temporary)
        batches = [(tokens.of_images(part["image"].to_list()), tokens.of_texts(part["rich"].to_list()))
                   for part in items.iter_slices(ROWS)]  # fmt: skip
        load = usage(encoder, batches)
        cost = compare(encoder, *batches[0], args.rounds)
    for layer, shares in enumerate(load):
        print(f"layer with experts {layer + 1}, share of the tokens ({items.height:,} held-out products)")
        for name, row in zip(COMPOSITIONS, shares, strict=True):
            print(f"  {name:<10}", "  ".join(f"{share:.2f}" for share in row))
    print(f"a training step of the fusion takes {cost:.2f} times as long with experts as without")
    draw(load, recipe.workdir / "experts.png")
    result = {"load": load.tolist(), "cost": cost, "versions": versions(), "machine": machine()}
    write_json(recipe.workdir / "experts.json", result)
    print(f"wrote {recipe.workdir / 'experts.png'}")


@torch.inference_mode()
def usage(encoder: ProductEncoder, batches: list[tuple[Tokens | None, Tokens | None]]) -> np.ndarray:
    """(layers, compositions, experts): the share of the tokens that each expert got."""
    found = []
    for image, text in batches:
        shown = {"text": (None, text), "image": (image, None), "text+image": (image, text)}
        routed = [encoder.routed(*shown[name])[1] for name in COMPOSITIONS]
        found.append(torch.stack([routing[:, LOAD] for routing in routed if routing is not None], 1))
    return torch.cat(found).mean(0).transpose(0, 1).numpy()


def compare(encoder: ProductEncoder, image: Tokens | None, text: Tokens | None, rounds: int) -> float:
    """Median of time with experts / time without."""
    dense = build_encoder(encoder.config.dense())
    ratios = []
    for number in range(rounds + 1):
        seconds = []
        for one in (encoder, dense):
            started = time.perf_counter()
            one(image, text).sum().backward()
            seconds.append(time.perf_counter() - started)
        if number:  # the first round warms up
            ratios.append(seconds[0] / seconds[1])
    return float(np.median(ratios))


def draw(load: np.ndarray, path: Path) -> None:
    """One panel a layer: bars of the experts' shares by composition."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    layers, _, experts = load.shape
    figure, panels = plt.subplots(1, layers, figsize=(4.5 * layers, 3), squeeze=False, layout="constrained")
    for panel, shares in zip(panels[0], load, strict=True):
        for place, (name, row) in enumerate(zip(COMPOSITIONS, shares, strict=True)):
            panel.bar(np.arange(experts) + (place - 1) * 0.27, row, 0.25, label=name)
        panel.axhline(1 / experts, color="gray", linewidth=0.8, linestyle=":")
        panel.set(xticks=range(experts), xticklabels=[f"expert {n + 1}" for n in range(experts)],
                  ylabel="share of the tokens", title="Experts by what an input is composed of")  # fmt: skip
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


if __name__ == "__main__":
    with one_line():
        main()
