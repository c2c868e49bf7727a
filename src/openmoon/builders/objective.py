"""From the recipe to the objective of stage 2: which views meet, under which loss, with which negatives and guards."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from openmoon.config import PosttrainConfig
from openmoon.data.views import Parts
from openmoon.losses import log_frequency
from openmoon.losses.dual_alignment import AlignmentMatrix
from openmoon.losses.temperature import Temperature
from openmoon.models.encoder import ProductEncoder
from openmoon.training import dual_alignment, posttrain
from openmoon.training.balance import with_balanced_experts
from openmoon.training.contrast import Contrast
from openmoon.training.filtering import SampleFilter
from openmoon.training.negatives import HardNegatives
from openmoon.training.plan import Objective
from openmoon.training.posttrain import Mix, PairTable
from openmoon.training.queue import ItemQueue
from openmoon.training.self_supervision import with_self_supervision


class Built(NamedTuple):
    """The objective, what it learns besides the encoder, and how it compares queries and items."""

    objective: Objective
    heads: nn.ModuleDict
    contrast: Contrast


def build_objective(
    config: PosttrainConfig, encoder: ProductEncoder, pairs: PairTable, items: Parts, spus: np.ndarray, mix: Mix,
    hard: HardNegatives,
) -> Built:  # fmt: skip
    """What the recipe's `posttrain` section asks for, over the training pairs and all products."""
    heads = nn.ModuleDict({"temperature": Temperature(config.temperature, config.learn_temperature)})
    dual, negatives = config.objectives == "dual", config.negatives
    identities = dual_alignment.IDENTITIES if dual else posttrain.IDENTITIES
    contrast = Contrast(
        heads["temperature"], tuple(encoder.dims), config.loss,
        margin=negatives.margin,
        log_q=log_frequency(torch.from_numpy(pairs.item), len(items)) if negatives.popularity else None,
        spare_inputs=negatives.spare != "nothing",
        queue=ItemQueue(negatives.queue, encoder.dim, identities, negatives.queue_moments) if negatives.queue else None,
        queue_still=negatives.queue_still,
        gamma=config.circle.gamma, circle_margin=config.circle.margin,
        filter=SampleFilter(**config.filter.model_dump()) if config.filter else None,
    )  # fmt: skip
    if dual:
        matrix = None
        if (experts := encoder.config.fusion.experts) and config.alignment.weighted:
            matrix = AlignmentMatrix(experts, len(dual_alignment.OBJECTIVES), config.alignment.sharpness)
            heads["alignment"] = matrix
        given = config.alignment.model_dump(exclude={"weighted", "sharpness"})
        terms = dual_alignment.Alignment(**given)
        objective = dual_alignment.dual_alignment_objective(contrast, pairs, items, spus, matrix, terms, hard)
    else:
        objective = posttrain.posttraining_objective(contrast, pairs, items, spus, mix, config.blend, hard)
    if config.self_supervision:
        objective = with_self_supervision(
            objective, heads["temperature"], pairs.item, items, spus, encoder.dims, config.self_supervision
        )
    if encoder.config.fusion.experts:
        objective = with_balanced_experts(objective, config.load_balance)
    return Built(objective, heads, contrast)
