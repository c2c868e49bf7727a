"""What both training stages share: sources, optimiser, the loop with its progress bar, the saved encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import yaml
from torch import nn

from openmoon.builders.workspace import Workspace, cache_folder
from openmoon.config import OptimConfig
from openmoon.console import bar, console, plain, tracked
from openmoon.data.views import Parts
from openmoon.device import coarse_products, compute_device, device_name
from openmoon.io import alone, content_hash, write_json, write_text
from openmoon.models.encoder import ProductEncoder, require_place
from openmoon.models.principal import pooled_features, start_from_data
from openmoon.models.unfreeze import unfreeze
from openmoon.runtime import machine, versions
from openmoon.training.distributed import ALONE, World
from openmoon.training.featurize import Featurizer
from openmoon.training.loop import Schedule, fit, nothing
from openmoon.training.optim import build_optimizer
from openmoon.training.plan import Objective
from openmoon.training.sources import CachedImages, CachedText, LiveImages, LiveText, TokenSource

# What identifies a new encoder. Its fusion follows from seed and data, in bits that depend on the number of threads.
PRETRAINED = ("image", "text")


class Inputs(NamedTuple):
    """Picture keys and texts that a stage shows to the trunks."""

    images: list[str]
    texts: list[str]

    @classmethod
    def of(cls, items: Parts, rows: np.ndarray, queries: Sequence[Parts] = ()) -> Inputs:
        """What the products in `rows` show, variants too, and all of the queries."""
        columns = [items.images[rows], *(q.images for q in queries)]
        images = [key for column in columns for key in column if key is not None]
        columns = [*(column[rows] for column in items.texts.values()), *(q.texts["text"] for q in queries)]
        texts = [text for column in columns for text in column if text is not None]
        if items.variants is not None:
            images += [key for row in rows for key in items.variants.images[row]]
            texts += [text for row in rows for text in items.variants.texts[row]]
        return cls(images, texts)


PRINCIPAL_SAMPLE = 4000  # of more pictures, or texts, at least so many (not twice) give the principal components


def prepare_featurizer(
    name: str, work: Workspace, encoder: ProductEncoder, config: OptimConfig, shown: Inputs, augmented: list[str]
) -> Featurizer:
    """Token sources for `encoder` as the recipe asks for stage `name`: trained trunks live, frozen ones from the cache.

    `shown` is all that training and validation look at, `augmented` the pictures of it that they also see augmented. The encoder
    moves to where it is trained (`compute_device`).
    """
    encoder.to(compute_device()).requires_grad_(True)
    unfreeze(encoder.image, config.train_image_trunk, f"{name}.train_image_trunk")
    unfreeze(encoder.text, config.train_text_trunk, f"{name}.train_text_trunk")
    image_source: TokenSource
    if config.train_image_trunk:
        image_source = LiveImages(encoder.image, work.images, config.crop or encoder.image_size, config.augment)
    else:
        image_source = CachedImages(
            encoder.image, work.images, cache_folder(work.recipe), config.augment, config.augment_views
        )
    text_source = (
        LiveText(encoder.text) if config.train_text_trunk else CachedText(encoder.text, cache_folder(work.recipe))
    )
    image_source.prepare(shown.images, tracked, augmented)
    text_source.prepare(shown.texts, tracked)
    return Featurizer(encoder, image_source, text_source)


@torch.inference_mode()
def start_fusion(featurize: Featurizer, train: Inputs) -> None:
    """Start a new encoder's fusion from principal components of (some of) the training pictures and texts, unless it is to start
    at random (`encoder.fusion.start`)."""
    if featurize.encoder.config.fusion.start == "random":
        return
    found: list[torch.Tensor | None] = []
    for source, keys in ((featurize.images, train.images), (featurize.texts, train.texts)):
        distinct = sorted(set(keys))
        chosen = distinct[:: max(1, len(distinct) // PRINCIPAL_SAMPLE)]
        chunks = [source(chosen[start : start + 256], None) for start in range(0, len(chosen), 256)]
        features = [pooled_features(tokens) for tokens in chunks if tokens is not None]
        found.append(torch.cat(features).clone() if features else None)
    start_from_data(featurize.encoder.fusion, *found)


def train_stage(
    name: str,
    work: Workspace,
    featurize: Featurizer,
    config: OptimConfig,
    examples: int,
    heads: nn.ModuleDict,
    objective: Objective,
    validate: Callable[[], dict[str, float]],
    fresh: bool,
    *,
    origin: str,
    started_from: str | None = None,
    learnt_until: datetime | None,
    memory: nn.Module | None = None,
    world: World = ALONE,
    before_step: Callable[[int], dict[str, float]] = nothing,
) -> Path:
    """Train, save the best encoder to `<workdir>/<name>/encoder`, and beside it recipe.yaml and summary.json. `origin`
    identifies the weights that training starts from; a checkpoint of another origin is not resumed. `started_from` is the
    fingerprint of the saved encoder among them, if there is one. `learnt_until` is the latest
    event that the encoder has learnt from then, as in `save_pretrained`. `heads` are what the
    objective learns besides the encoder, `temperature` among them; `memory` and `before_step` as in `fit`."""
    encoder, recipe = featurize.encoder, work.recipe
    folder = recipe.workdir / name
    require_place(folder / "encoder")
    with alone(folder) if world.leads else nullcontext():
        with world.leader_first():
            if fresh:
                for earlier in ("checkpoint.pt", "summary.json"):  # without a summary no encoder counts as trained
                    (folder / earlier).unlink(missing_ok=True)
        trunks: list[nn.Module] = [trunk for trunk, trained in ((encoder.image, config.train_image_trunk),
                                                                 (encoder.text, config.train_text_trunk)) if trained]  # fmt: skip
        optimizer = build_optimizer(encoder.fusion, heads, trunks, config.lr, config.trunk_lr, config.weight_decay)
        schedule = Schedule(name, examples, config.batch_size, config.epochs, config.max_steps, config.warmup,
                            config.validate_every, config.checkpoint_every, config.patience, config.chunk)  # fmt: skip
        for part in (heads, memory):
            if part is not None:
                part.to(encoder.text.device)
        run = content_hash(name, config.model_dump_json(), str(recipe.seed), work.learnt_hash(name), origin)
        module = nn.ModuleDict({"encoder": encoder, **heads})
        with coarse_products(), bar(f"Training {name}", schedule.total) as (progress, task):
            result = fit(
                module, optimizer, heads["temperature"], featurize, objective, validate, schedule,
                clip=config.clip, average=config.average, seed=recipe.seed, folder=folder, run=run, memory=memory, world=world,
                before_step=before_step, on_resume=lambda step: console.print(f"  goes on from step {step} of {schedule.total}"),
                on_step=lambda step, total, note: progress.update(task, completed=step, note=note),
            )  # fmt: skip
        if not world.leads:
            world.wait()
            return folder / "encoder"
        encoder.save_pretrained(folder / "encoder", learnt_until)
        write_text(folder / "recipe.yaml", yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))
        trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
        write_json(folder / "summary.json", {
            "stage": name, "examples": examples, "steps": result.step, "planned_steps": schedule.total,
            "stopped_early": result.stopped, "best_step": result.best_step, "best_val_score": result.best,
            "seconds": round(result.seconds, 1), "trained_parameters": trained, "processes": world.size,
            "seed": recipe.seed, "data_hash": work.learnt_hash(name), "weights": encoder.fingerprint(),
            "started_from": started_from, "versions": versions(), "machine": machine(),
            "device": device_name(encoder.text.device),
        })  # fmt: skip
        world.wait()
        console.print(f"  best validation score {result.best:.4f} at step {result.best_step} of {result.step}")
        console.print(f"  wrote {plain(folder / 'encoder')}")
        return folder / "encoder"
