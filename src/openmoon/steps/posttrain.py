"""`openmoon posttrain`: stage-1 encoder and behaviour → stage-2 encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import torch

from openmoon.config import Action, Recipe
from openmoon.data.views import Column, Parts
from openmoon.errors import UserError
from openmoon.evaluation.ranking import retrieval_metrics
from openmoon.models.encoder import ProductEncoder, build_encoder, upcycled
from openmoon.steps.console import console
from openmoon.steps.objective import build_objective
from openmoon.steps.stage import PRETRAINED, Inputs, prepare_featurizer, start_fusion, train_stage
from openmoon.steps.trained import load_trained
from openmoon.steps.workspace import Workspace, open_workspace
from openmoon.training.distributed import open_world
from openmoon.training.featurize import Featurizer
from openmoon.training.posttrain import Mix, PairTable

MAX_VALIDATION_PAIRS = 2000  # per direction


def posttrain(recipe: Recipe, fresh: bool = False) -> Path:
    """Train on query→item pairs of the training split; returns the folder of the saved encoder. `fresh` starts
    over where a checkpoint would be resumed."""
    config = recipe.posttrain
    if config is None:
        raise UserError("posttrain: the recipe switches this stage off (posttrain: null); nothing to do.")
    world = open_world()
    mix = Mix([m.query for m in config.mix], [m.item for m in config.mix], [m.share for m in config.mix])
    with world.leader_first():
        work = open_workspace(recipe)
        encoder = _start(work)
        train = _fitting(work, mix, config.weights)
        val = work.pairs.filter(split="val")
        learnt = _inputs(work, [train], np.unique(train.item))
        shown = _inputs(work, [train, pair_table(val)], np.arange(len(work.items)))
        featurize = prepare_featurizer("posttrain", work, encoder, config, shown, augmented=learnt.images)
        if recipe.pretrain is None:
            start_fusion(featurize, learnt)
    built = build_objective(config, encoder, train, work.parts, work.spus, mix)
    return train_stage(
        "posttrain", work, featurize, config, len(train), built.heads, built.objective,
        lambda: _validate(work, featurize, val), fresh,
        origin=encoder.fingerprint(PRETRAINED) if recipe.pretrain is None else encoder.fingerprint(),
        memory=built.memory, world=world,
    )  # fmt: skip


def _fitting(work: Workspace, mix: Mix, weights: Mapping[Action, float]) -> PairTable:
    """The training pairs that the mix can show; the others are counted."""
    pairs = work.pairs.filter(split="train")
    fits = mix.probabilities(pair_table(pairs), work.parts).sum(1) > 0.5
    if not fits.all():
        console.print(f"  pairs: {(~fits).sum():,} of {len(fits):,} fit no view of posttrain.mix and are left out")
    return pair_table(pairs.filter(pl.Series(fits)), weights)


def pair_table(pairs: pl.DataFrame, weights: Mapping[Action, float] | None = None) -> PairTable:
    """The training form of pairs from `Workspace.pairs`; `weights` by action, 1 where it names none, are scaled to mean 1."""
    name = pl.concat_str(pl.col("query_text").fill_null(""), pl.col("query_image_key").fill_null(""), separator="\0")
    query = pairs.select(name.rank("dense")).to_series().to_numpy().astype(np.int64)
    queries = Parts({"text": _column(pairs, "query_text")}, _column(pairs, "query_image_key"))
    weight = None
    if weights:
        drawn = pairs["action"].replace_strict(weights, default=1.0, return_dtype=pl.Float64)
        weight = (drawn / drawn.mean()).to_numpy()
    return PairTable(queries, pairs["item"].to_numpy().astype(np.int64), query, weight)


def _start(work: Workspace) -> ProductEncoder:
    recipe = work.recipe
    torch.manual_seed(recipe.seed)
    if recipe.pretrain is None:
        return build_encoder(recipe.encoder)
    encoder = load_trained(recipe, "pretrain", work.data_hash)
    if encoder is None:
        raise UserError(f"{recipe.workdir / 'pretrain'}: stage 1 has not been trained; run `openmoon pretrain` with this recipe "
                        "first, or start from the bare trunks with pretrain=null.")  # fmt: skip
    return upcycled(encoder, recipe.encoder)


def _validate(work: Workspace, featurize: Featurizer, val: pl.DataFrame) -> dict[str, float]:
    """Recall@1 and MRR per kind of query over the products of the validation split (all products, if queries are split);
    the score is the mean MRR."""
    pool = work.rows("val") if work.recipe.data.split.by == "product" else np.arange(len(work.items))
    position = np.full(len(work.items), -1)
    position[pool] = np.arange(len(pool))
    items = featurize.vectors(work.parts, "rich+image", pool)
    metrics: dict[str, float] = {}
    for view, column in (("text", "query_text"), ("image", "query_image_key")):
        pairs = (
            val.filter(pl.col(column).is_not_null())
            .unique([column, "item"], maintain_order=True)
            .head(MAX_VALIDATION_PAIRS)
        )
        if len(pairs):
            distinct = pairs.unique(column, maintain_order=True).select(column).with_row_index("query")
            pairs = pairs.join(distinct, on=column, how="left", maintain_order="left")
            queries = featurize.vectors(
                pair_table(pairs.unique(column, maintain_order=True)).queries, view, np.arange(len(distinct))
            )
            found = retrieval_metrics(
                queries, items, np.stack([pairs["query"].to_numpy(), position[pairs["item"].to_numpy()]], 1)
            )
            metrics |= {f"{view}_r1": found["recall@1"], f"{view}_mrr": found["mrr"]}
    scores = [value for name, value in metrics.items() if name.endswith("_mrr")]
    if not scores:
        raise UserError("data.split.val: the validation split has no query→item pair; raise data.split.val.")
    return {"score": sum(scores) / len(scores), **metrics}


def _inputs(work: Workspace, tables: list[PairTable], rows: np.ndarray) -> Inputs:
    """What the pairs and the products in `rows` show."""
    columns = [work.parts.images[rows], *(t.queries.images for t in tables)]
    images = [key for column in columns for key in column if key is not None]
    columns = [*(column[rows] for column in work.parts.texts.values()), *(t.queries.texts["text"] for t in tables)]
    return Inputs(images, [text for column in columns for text in column if text is not None])


def _column(frame: pl.DataFrame, name: str) -> Column:
    return frame[name].to_numpy().astype(object)
