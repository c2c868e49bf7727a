"""What labels alone reach with an encoder's image trunk: a classifier of photos into products, beside which a recipe's photo
search can be held.

    python benchmarks/classifier.py recipes/grocery.yaml --seeds 0 1 2

Cross-entropy on the training photos and the products' own pictures, measured on the photos that the recipe measures: a linear
probe on the frozen trunk, and the fine-tuned trunk with a linear layer. Views, blends, blocks that are trained, optimiser, rates
and epochs, and the running mean of the weights are the recipe's.
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openmoon.builders.workspace import Workspace, open_workspace
from openmoon.config import PosttrainConfig, load_recipe
from openmoon.console import tracked
from openmoon.data.blend import Blend, draw_partners
from openmoon.errors import one_line
from openmoon.evaluation.benchmark.probe import linear_probe
from openmoon.io import write_json
from openmoon.models.encoder import build_encoder
from openmoon.models.image_trunk import ImageTrunk
from openmoon.models.tokens import masked_mean
from openmoon.models.unfreeze import unfreeze
from openmoon.runtime import machine, versions
from openmoon.training.optim import build_optimizer, rate
from openmoon.training.sources import LiveImages


class Photos(NamedTuple):
    """Keys of pictures, and (n,) the product that each shows."""

    keys: list[str]
    products: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/classifier.json"))
    args = parser.parse_args()
    work = open_workspace(load_recipe(args.recipe, args.overrides))
    train, test = with_own_pictures(work, photos(work, "train")), photos(work, "test")
    found = {"linear probe, frozen trunk": [probe(work, train, test)], "fine-tuned": []}
    for seed in args.seeds:
        found["fine-tuned"].append(fine_tuned(work, train, test, seed))
        write_json(args.out, {"accuracy": found, "photos": len(test.keys), "recipe": work.recipe.model_dump(mode="json"),
                              "data_hash": work.data_hash, "versions": versions(), "machine": machine()})  # fmt: skip
    print("| classifier | photos | accuracy |\n|---|---:|---:|")
    for name, values in found.items():
        print(f"| {name} | {len(test.keys)} | {', '.join(f'{value:.3f}' for value in values)} |")


def photos(work: Workspace, split: str) -> Photos:
    table = work.pairs.filter(split=split).drop_nulls("query_image_key")
    return Photos(table["query_image_key"].to_list(), table["item"].to_numpy().astype(np.int64))


def with_own_pictures(work: Workspace, found: Photos) -> Photos:
    own = work.items.with_row_index("item").drop_nulls("image_key")
    return Photos([*found.keys, *own["image_key"]], np.concatenate([found.products, own["item"].to_numpy().astype(np.int64)]))


def probe(work: Workspace, train: Photos, test: Photos) -> float:
    trunk = build_encoder(work.recipe.encoder).image
    features = [pooled(trunk, work, some.keys) for some in (train, test)]
    answers = linear_probe(features[0], train.products, [features[1]])
    return float((answers == test.products).mean())


def fine_tuned(work: Workspace, train: Photos, test: Photos, seed: int) -> float:
    config = work.recipe.posttrain
    assert config is not None, "the recipe fine-tunes"
    torch.manual_seed(seed)
    trunk = build_encoder(work.recipe.encoder).image
    unfreeze(trunk, config.train_image_trunk, "posttrain.train_image_trunk")
    head = nn.Linear(trunk.dim, len(work.items))
    images = LiveImages(trunk, work.images, config.crop or work.images.size, config.augment)
    optimizer = build_optimizer(head, nn.Identity(), [trunk], config.lr, config.trunk_lr, config.weight_decay)
    model = nn.ModuleList([trunk, head])
    mean = deepcopy(model)
    steps = len(train.keys) // config.batch_size
    total = steps * config.epochs
    for step in tracked(range(total), f"Fine-tuning, seed {seed}", total):
        order = np.random.default_rng([seed, step // steps]).permutation(len(train.keys))
        rows = order[step % steps * config.batch_size :][: config.batch_size]
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate(step, total, round(config.warmup * total))
        model.train()
        optimizer.zero_grad()
        loss(images, head, train, rows, config, np.random.default_rng([seed, 1, step])).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        follow(mean, model, min(config.average, (1 + step) / (10 + step)))
    averaged, layer = mean
    assert isinstance(averaged, ImageTrunk)
    with torch.inference_mode():
        answers = layer(torch.from_numpy(pooled(averaged, work, test.keys))).argmax(1).numpy()
    return float((answers == test.products).mean())


def loss(
    images: LiveImages, head: nn.Module, train: Photos, rows: np.ndarray, config: PosttrainConfig, rng: np.random.Generator
) -> Tensor:
    """Cross-entropy of augmented pictures, of which some are blended and count for both products by their shares."""
    partner, share = draw_partners(np.arange(len(rows)), config.blend, len(rows), rng)
    names = [train.keys[row] for row in rows]
    keys = [Blend(names[n], names[p], float(s)) for n, (p, s) in enumerate(zip(partner, share, strict=True))]
    tokens = images(keys, rng)
    assert tokens is not None
    logits, products = head(masked_mean(tokens.values, tokens.mask)), torch.from_numpy(train.products[rows])
    shares = torch.from_numpy(share).float()
    both = (F.cross_entropy(logits, of, reduction="none") for of in (products, products[torch.from_numpy(partner)]))
    return (next(both) * shares + next(both) * (1 - shares)).mean()


@torch.no_grad()
def follow(mean: nn.Module, model: nn.Module, kept: float) -> None:
    for ours, theirs in zip(mean.parameters(), model.parameters(), strict=True):
        ours.lerp_(theirs, 1 - kept)


@torch.inference_mode()
def pooled(trunk: ImageTrunk, work: Workspace, keys: list[str]) -> np.ndarray:
    """Mean of the tokens of plain pictures, (n, dim)."""
    images, found = LiveImages(trunk.eval(), work.images, work.images.size, 0.0), []
    for start in range(0, len(keys), 64):
        tokens = images(keys[start : start + 64], None)
        assert tokens is not None
        found.append(masked_mean(tokens.values, tokens.mask).numpy())
    return np.concatenate(found)


if __name__ == "__main__":
    with one_line():
        main()
