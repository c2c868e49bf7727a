"""From the recipe to the hard negatives of stage 2."""

from __future__ import annotations

import numpy as np

from openmoon.builders.pairs import TrainingPairs
from openmoon.builders.workspace import Workspace
from openmoon.config import PosttrainConfig
from openmoon.console import console
from openmoon.data.pairs.beside import not_chosen, same_category
from openmoon.training.distributed import World
from openmoon.training.featurize import Featurizer
from openmoon.training.mining import Mined, MinedNegatives, mine
from openmoon.training.negatives import LEFT, ClassPool, FromLog, HardNegatives, LeftBehind, Source
from openmoon.training.posttrain import PairTable


def build_negatives(
    config: PosttrainConfig, work: Workspace, found: TrainingPairs, table: PairTable, featurize: Featurizer, world: World
) -> tuple[HardNegatives, MinedNegatives | None]:
    """The sources that `posttrain.negatives` names, for the training pairs (`table` is their training form), and the mined one,
    which is renewed and kept in checkpoints."""
    wanted, pairs = config.negatives, found.pairs
    sources: dict[str, Source] = {}
    mined: MinedNegatives | None = None
    met = work.met_products() if wanted.left or wanted.pool else None
    if wanted.left and met is not None:
        left = not_chosen(pairs, found.chosen, met, ["click"], work.spus)
        for answers in table.answers.values():
            left = left.without(answers, work.spus)
        console.print(f"  negatives: {left.filled.sum():,} of {len(pairs):,} pairs have products that were clicked and left")
        sources[LEFT] = FromLog(left, wanted.left, table.mates, work.spus)
    if wanted.pool and met is not None:
        shown = not_chosen(pairs, found.chosen, met, ["impression"], work.spus)
        if "text+image" in table.answers:
            shown = shown.without(table.answers["text+image"], work.spus)
        passed = same_category(shown, table.item, work.categories)
        console.print(f"  negatives: {passed.filled.sum():,} of {len(pairs):,} pairs have products of their category that were "
                      "shown and not clicked")  # fmt: skip
        sources["class pool"] = ClassPool(
            passed, work.learnt_rows, work.categories, table.item, wanted.pool.same, wanted.pool.count
        )
    if wanted.mined:
        depth, margin = wanted.mined.depth, wanted.mined.margin
        mined = MinedNegatives(len(pairs), depth, wanted.mined.count, wanted.mined.every,
                               lambda: _mine(work, table, featurize, depth, margin), world)  # fmt: skip
        sources["mined"] = mined
    triplet = LeftBehind(**config.triplet.model_dump(), dims=tuple(featurize.encoder.dims)) if config.triplet else None
    return HardNegatives(sources, triplet), mined


def _mine(work: Workspace, table: PairTable, featurize: Featurizer, depth: int, margin: float) -> Mined:
    featurize.encoder.eval()
    _, first, query = np.unique(table.query, return_index=True, return_inverse=True)
    products = work.learnt_rows
    found = mine(
        featurize.vectors(table.queries, "text+image", first), query,
        featurize.vectors(work.parts, "rich+image", products), products,
        table.item, work.spus, work.categories, table.known("text+image"), depth, margin,
    )  # fmt: skip
    told = (f"{value:,.0f} {name.removeprefix('mining, ')}" for name, value in found.figures.items())
    console.print(f"  mining: {', '.join(told)}")
    return found
