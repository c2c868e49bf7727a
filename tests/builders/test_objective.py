"""From the recipe to the objective: what is switched off is not there."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from openmoon.builders.objective import Built, build_objective
from openmoon.builders.pair_table import build_mix
from openmoon.config import EncoderConfig, PosttrainConfig, Spare
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


@pytest.mark.parametrize("on", [True, False])
def test_a_queue_is_used_as_the_recipe_wants(tiny_config: EncoderConfig, on: bool) -> None:
    assert built(tiny_config).contrast.queue is None
    contrast = built(tiny_config, negatives={"queue": 64, "queue_moments": on, "queue_still": True}).contrast
    assert contrast.queue is not None
    assert (contrast.queue.size, contrast.queue.moments, contrast.queue_still) == (64, on, True)
    assert built(tiny_config, negatives={"queue": 64, "queue_still": on}).contrast.queue_still == on


def test_what_is_spared_follows_the_recipe(tiny_config: EncoderConfig) -> None:
    spares = {spare: built(tiny_config, negatives={"spare": spare}).contrast.spare_inputs for spare in get_args(Spare)}
    assert spares == {"nothing": False, "inputs": True, "answers": True, "visits": True}
