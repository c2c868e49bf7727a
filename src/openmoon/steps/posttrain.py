"""`openmoon posttrain`: stage-1 encoder and behaviour → stage-2 encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from torch import nn

from openmoon.builders.negatives import build_negatives
from openmoon.builders.objective import build_objective
from openmoon.builders.pair_table import build_mix, pair_table, query_parts
from openmoon.builders.pairs import TrainingPairs, latest_event, training_pairs
from openmoon.builders.stage import PRETRAINED, Inputs, prepare_featurizer, start_fusion, train_stage
from openmoon.builders.trained import start_learnt_until, starting_encoder, starting_weights, starts_untrained
from openmoon.builders.variants import variants_hash, with_variants
from openmoon.builders.workspace import Workspace, open_workspace
from openmoon.config import PosttrainConfig, Recipe
from openmoon.console import console
from openmoon.errors import UserError
from openmoon.evaluation.ranking import retrieval_metrics
from openmoon.io import content_hash
from openmoon.learnt import latest
from openmoon.training.distributed import open_world
from openmoon.training.featurize import Featurizer
from openmoon.training.loop import nothing
from openmoon.training.posttrain import PRODUCT

MAX_VALIDATION_PAIRS = 2000  # per direction
KIND = {"text": "query_text", "image": "query_image_key"}  # where a pair has its query under a view


def posttrain(recipe: Recipe, fresh: bool = False) -> Path:
    """Train on query→item pairs of the training split; returns the folder of the saved encoder. `fresh` starts
    over where a checkpoint would be resumed. Raises `UserError` where the recipe switches the stage off, where tables, stage 1 or
    augmented variants are missing, and where no pair is left to train or to validate on."""
    config = recipe.posttrain
    if config is None:
        raise UserError("posttrain: the recipe switches this stage off (posttrain: null); nothing to do.")
    world = open_world()
    mix = build_mix(config)
    with world.leader_first():
        work = open_workspace(recipe)
        encoder = starting_encoder(work)
        val = validation_pairs(work, config)
        found = _counted(training_pairs(work, None if starts_untrained(recipe) else encoder))
        table = pair_table(found.pairs, found.chosen, config.weights, config.negatives.spare, found.askers(work))
        items = with_variants(work, config.coaugment) if config.coaugment else work.parts
        hard = config.negatives.left or config.negatives.pool or config.negatives.mined
        met = np.union1d(table.item, table.others.lists.values)  # others: a query may be shown as one
        learnt = Inputs.of(items, work.learnt_rows if hard else met, [table.queries])
        shown = Inputs.of(items, np.arange(len(items)), [table.queries, query_parts(val)])
        featurize = prepare_featurizer("posttrain", work, encoder, config, shown, augmented=learnt.images)
        if starts_untrained(recipe):
            start_fusion(featurize, learnt)
        negatives, mined = build_negatives(config, work, found, table, featurize, world)
    built = build_objective(config, encoder, table, items, work.spus, mix, negatives)
    return train_stage(
        "posttrain", work, featurize, config, len(table), built.heads, built.objective,
        lambda: _validate(work, featurize, val, *_taught_views(config)), fresh,
        origin=content_hash(encoder.fingerprint(PRETRAINED) if starts_untrained(recipe) else encoder.fingerprint(),
                            variants_hash(items), table.fingerprint(), negatives.fingerprint()),
        started_from=starting_weights(recipe), learnt_until=latest(start_learnt_until(recipe), latest_event(work, found)),
        memory=nn.ModuleDict({n: kept for n, kept in (("queue", built.contrast.queue), ("mined", mined)) if kept is not None}),
        world=world, before_step=mined.before_step if mined else nothing,
    )  # fmt: skip


def validation_pairs(work: Workspace, config: PosttrainConfig) -> pl.DataFrame:
    """The pairs that decide when stage 2 stops; `UserError` where none of them asks in a way that is taught."""
    val, (kinds, _) = work.pairs.filter(split="val"), _taught_views(config)
    if not val.select(pl.any_horizontal(pl.col(KIND[kind]).is_not_null().any() for kind in kinds)).item():
        raise _nothing_to_validate(kinds)
    return val


def _counted(found: TrainingPairs) -> TrainingPairs:
    """The training pairs, and on the terminal what each rule did to them; there must be some."""
    for entry in found.ledger.entries:
        console.print(f"  pairs: {entry.rule}: {entry.dropped:,} dropped, {entry.repeated:,} repeated, {entry.kept:,} left")
    if found.chosen.is_empty():
        raise UserError("posttrain.pairs.signal: nobody chose two training products in a row by one of posttrain.actions, so "
                        "there is no co-click pair to train on; log more, or name more actions.")  # fmt: skip
    if found.pairs.is_empty():
        raise UserError("posttrain.pairs: the rules leave no pair to train on; `openmoon data pairs` shows what each one drops.")
    return found


def _taught_views(config: PosttrainConfig) -> tuple[list[str], str]:
    """The kinds of queries that are trained, of text and image, and the most that a product shows to them."""
    if config.objectives == "dual":
        return ["text", "image"], "rich+image"
    asked = {part for mix in config.mix for part in ("text", "image") if part in mix.query or mix.query == PRODUCT}
    return sorted(asked, reverse=True), "image" if all(mix.item == "image" for mix in config.mix) else "rich+image"


def _validate(
    work: Workspace, featurize: Featurizer, val: pl.DataFrame, kinds: list[str], shown: str
) -> dict[str, float]:
    """Recall@1 and MRR per kind of query over the products of the validation split (all products, if queries are split), which
    are `shown` under one view, where they have it; the score is the mean MRR."""
    pool = work.rows("val") if work.recipe.data.split.by == "product" else np.arange(len(work.items))
    pool = pool[work.parts.has(shown)[pool]]
    position = np.full(len(work.items), -1)
    position[pool] = np.arange(len(pool))
    items = featurize.vectors(work.parts, shown, pool)
    val = val.filter(pl.Series(position[val["item"].to_numpy()] >= 0))
    metrics: dict[str, float] = {}
    for view in kinds:
        column = KIND[view]
        pairs = whole_queries(val.filter(pl.col(column).is_not_null()).unique([column, "item"], maintain_order=True), column)
        if len(pairs):
            distinct = pairs.unique(column, maintain_order=True)
            queries = featurize.vectors(query_parts(distinct), view, np.arange(len(distinct)))
            asked = pairs.join(distinct.select(column).with_row_index("query"), on=column, maintain_order="left")
            wanted = np.stack([asked["query"].to_numpy(), position[asked["item"].to_numpy()]], 1)
            found = retrieval_metrics(queries, items, wanted)
            metrics |= {f"{view}_r1": found["recall@1"], f"{view}_mrr": found["mrr"]}
    scores = [value for name, value in metrics.items() if name.endswith("_mrr")]
    if not scores:  # their products lack the view
        raise _nothing_to_validate(kinds)
    return {"score": sum(scores) / len(scores), **metrics}


def whole_queries(pairs: pl.DataFrame, column: str, enough: int = MAX_VALIDATION_PAIRS) -> pl.DataFrame:
    """All pairs of the first queries in `column`, as many as it takes to have `enough` pairs: a query of which some items are
    left out would find them among its wrong answers."""
    ends = pairs.group_by(column, maintain_order=True).agg(end=pl.len()).with_columns(pl.col("end").cum_sum())
    first = ends.filter(pl.col("end").shift(1, fill_value=0) < enough)
    return pairs.join(first, on=column, how="semi", maintain_order="left")


def _nothing_to_validate(kinds: list[str]) -> UserError:
    return UserError(f"data.split.val: the validation split has no query→item pair (of {' or '.join(kinds)}); raise "
                     "data.split.val.")  # fmt: skip
