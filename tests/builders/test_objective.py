"""From the recipe to the objective: what is switched off is not there."""

from __future__ import annotations

from typing import Any

import numpy as np

from openmoon.builders.objective import Built, build_objective
from openmoon.builders.pair_table import build_mix
from openmoon.config import EncoderConfig, PosttrainConfig
from openmoon.losses.dual_alignment import AlignmentMatrix
from openmoon.models.encoder import build_encoder
from openmoon.training.negatives import NONE
from tests.training.test_objectives import N, items, pairs


def built(config: EncoderConfig, experts: int = 4, **given: Any) -> Built:
    fusion = config.fusion.model_copy(update={"experts": experts})
    encoder = build_encoder(config.model_copy(update={"fusion": fusion}))
    posttrain = PosttrainConfig.model_validate(given)
    return build_objective(posttrain, encoder, pairs(), items(), np.arange(N) // 2, build_mix(posttrain), NONE)


def test_weights_of_objectives_need_experts_and_can_be_left_out(tiny_config: EncoderConfig) -> None:
    weighted = built(tiny_config, objectives="dual", alignment={"sharpness": 7})
    matrix = weighted.heads["alignment"]
    assert isinstance(matrix, AlignmentMatrix)
    assert matrix.sharpness == 7
    assert "alignment" not in built(tiny_config, objectives="dual", alignment={"weighted": False}).heads
    assert "alignment" not in built(tiny_config, experts=0, objectives="dual").heads
    assert "alignment" not in built(tiny_config).heads


def test_a_queue_keeps_the_moments_that_the_recipe_wants(tiny_config: EncoderConfig) -> None:
    for moments in (True, False):
        queue = built(tiny_config, negatives={"queue": 64, "queue_moments": moments}).queue
        assert queue is not None
        assert (queue.size, queue.moments) == (64, moments)
    assert built(tiny_config).queue is None
