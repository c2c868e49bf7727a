"""`openmoon pretrain`: catalogue → stage-1 encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from openmoon.builders.stage import PRETRAINED, Inputs, prepare_featurizer, start_fusion, train_stage
from openmoon.builders.workspace import Workspace, open_workspace
from openmoon.config import Recipe
from openmoon.errors import UserError
from openmoon.evaluation.ranking import retrieval_metrics
from openmoon.learnt import NO_BEHAVIOUR
from openmoon.losses.temperature import Temperature
from openmoon.models.encoder import build_encoder
from openmoon.training.distributed import open_world
from openmoon.training.pretrain import pretraining_objective

MAX_VALIDATION = 2000  # products


def pretrain(recipe: Recipe, fresh: bool = False) -> Path:
    """Align pictures and texts of the training products; returns the folder of the saved encoder. `fresh` starts
    over where a checkpoint would be resumed. Raises `UserError` where the recipe switches the stage off and where no product of
    the validation split has both."""
    config = recipe.pretrain
    if config is None:
        raise UserError("pretrain: the recipe switches this stage off (pretrain: null); nothing to do.")
    world = open_world()
    with world.leader_first():
        work = open_workspace(recipe)
        torch.manual_seed(recipe.seed)
        encoder = build_encoder(recipe.encoder.dense())
        train, val = work.rows("train"), validation_rows(work)
        parts = work.parts
        rows = train[parts.has("image")[train]]
        shown = Inputs.of(parts, np.concatenate([rows, val]))
        featurize = prepare_featurizer("pretrain", work, encoder, config, shown, augmented=shown.images)
        start_fusion(featurize, Inputs.of(parts, rows))

    def validate() -> dict[str, float]:
        images, texts = featurize.vectors(parts, "image", val), featurize.vectors(parts, "title", val)
        views = featurize.vectors(parts, "image", val, np.random.default_rng(recipe.seed))
        same = np.stack([np.arange(len(val))] * 2, 1)
        found = {
            "text_image": retrieval_metrics(texts, images, same),
            "image_text": retrieval_metrics(images, texts, same),
            "view_image": retrieval_metrics(views, images, same),
        }
        taught = ["text_image", "image_text"] if config.image_text else []
        taught += ["view_image"] if config.self_supervision else []
        score = sum(found[name]["mrr"] for name in taught) / len(taught)
        return {"score": score, **{f"{name}_r1": metrics["recall@1"] for name, metrics in found.items()}}

    temperature = Temperature(config.temperature, config.learn_temperature)
    return train_stage(
        "pretrain", work, featurize, config, len(rows), nn.ModuleDict({"temperature": temperature}),
        pretraining_objective(
            temperature, parts, work.spus, rows, encoder.dims, config.image_text, config.self_supervision, config.with_text),
        validate, fresh, origin=encoder.fingerprint(PRETRAINED), learnt_until=NO_BEHAVIOUR, world=world,
    )  # fmt: skip


def validation_rows(work: Workspace) -> np.ndarray:
    """Rows of the products that decide when stage 1 stops: of the validation split, with title and picture, at most
    MAX_VALIDATION. `UserError` where there is none."""
    matched = work.parts.has("image") & work.parts.has("title")
    rows = work.rows("val")
    if (found := rows[matched[rows]][:MAX_VALIDATION]).size:
        return found
    if matched.any():
        raise UserError(f"data.split.val: of {matched.sum():,} products with title and picture none is for validation; raise "
                        "data.split.val.")  # fmt: skip
    raise UserError("pretrain: no product has both a title and a readable picture; `openmoon data check` says what is wrong with "
                    "the pictures. Without pictures skip stage 1 with pretrain: null.")  # fmt: skip
