"""From the recipe to the objective: what is switched off is not there."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from openmoon.builders.objective import Built, build_objective
from openmoon.builders.pair_table import build_mix
from openmoon.config import EncoderConfig, PosttrainConfig, Spare
from openmoon.data.blend import Blend
from openmoon.losses import log_frequency
from openmoon.losses.dual_alignment import AlignmentMatrix
from openmoon.models.encoder import build_encoder
from openmoon.training.filtering import SampleFilter
from openmoon.training.negatives import NONE, HardNegatives
from openmoon.training.plan import Encoded, StepOutput
from tests.training.test_hard_negatives import left_behind
from tests.training.test_objectives import N, items, pairs


def built(config: EncoderConfig, experts: int = 4, hard: HardNegatives = NONE, **given: Any) -> Built:
    fusion = config.fusion.model_copy(update={"experts": experts})
    encoder = build_encoder(config.model_copy(update={"fusion": fusion}))
    posttrain = PosttrainConfig.model_validate(given)
    return build_objective(posttrain, encoder, pairs(), items(), np.arange(N) // 2, build_mix(posttrain), hard)


def step(made: Built, config: EncoderConfig) -> StepOutput:
    """Of random vectors and routings."""
    plan = made.objective(np.arange(20), np.random.default_rng(0), 0.5)
    random = torch.Generator().manual_seed(0)
    encoded = []
    for views in plan.views:
        vectors = torch.randn(len(views.texts), max(config.dims), generator=random)
        routing = torch.rand(len(views.texts), 3, 1, 4, generator=random)
        encoded.append(Encoded(vectors / vectors.norm(dim=1, keepdim=True), routing / routing.sum(-1, keepdim=True)))
    return plan.loss(encoded)


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


def test_what_is_filtered_follows_the_recipe(tiny_config: EncoderConfig) -> None:
    assert built(tiny_config).contrast.filter is None
    given = {"kappa": 3.0, "delta": 0.4, "start": 0.2, "hardest": 2, "rescale": True}
    assert built(tiny_config, filter=given).contrast.filter == SampleFilter(**given)


@pytest.mark.parametrize("given", [{"objectives": "mix"}, {"objectives": "dual", "alignment": {"weighted": False}}])
def test_load_balance_counts_as_the_recipe_wants(tiny_config: EncoderConfig, given: dict[str, Any]) -> None:
    made = {weight: step(built(tiny_config, load_balance=weight, **given), tiny_config).losses for weight in (0.5, 2.0)}
    assert made[0.5]["load balance"] > 0
    torch.testing.assert_close(made[2.0]["load balance"], 4 * made[0.5]["load balance"])


@pytest.mark.parametrize("naive", [False, True])
def test_weights_have_a_gradient_where_they_are_naive(tiny_config: EncoderConfig, naive: bool) -> None:
    made = built(tiny_config, objectives="dual", load_balance=0, alignment={"naive": naive, "sparsity": 0, "weight_balance": 0})
    matrix = made.heads["alignment"]
    assert isinstance(matrix, AlignmentMatrix)
    torch.stack(list(step(made, tiny_config).losses.values())).sum().backward()
    gradient = next(matrix.parameters()).grad
    assert (gradient is not None and bool(gradient.abs().sum() > 0)) == naive


def test_what_is_spared_follows_the_recipe(tiny_config: EncoderConfig) -> None:
    spares = {spare: built(tiny_config, negatives={"spare": spare}).contrast.spare_inputs for spare in get_args(Spare)}
    assert spares == {"nothing": False, "inputs": True, "answers": True, "visits": True}


def test_settings_of_the_recipe_reach_the_objective(tiny_config: EncoderConfig) -> None:
    circle = built(tiny_config, loss="circle", circle={"gamma": 9, "margin": 0.1}, negatives={"margin": 0.3}).contrast
    assert (circle.loss, circle.gamma, circle.circle_margin, circle.margin) == ("circle", 9, 0.1, 0.3)
    assert circle.dims == tuple(tiny_config.dims)
    fixed = built(tiny_config, temperature=0.2, learn_temperature=False)
    assert fixed.contrast.temperature().item() == pytest.approx(0.2)
    assert not list(fixed.heads.parameters())
    assert fixed.contrast.log_q is None
    popular = built(tiny_config, negatives={"popularity": True}).contrast
    torch.testing.assert_close(popular.log_q, log_frequency(torch.from_numpy(pairs().item), N))
    assert "self_supervision" in step(built(tiny_config, self_supervision=0.5), tiny_config).losses
    blended = built(tiny_config, blend=0.9, train_image_trunk=True).objective(np.arange(20), np.random.default_rng(0), 0.0)
    assert any(isinstance(image, Blend) for image in blended.views[0].images)


@pytest.mark.parametrize("objectives", ["mix", "dual"])
def test_hard_negatives_reach_the_objective(tiny_config: EncoderConfig, objectives: str) -> None:
    shown = [
        built(tiny_config, objectives=objectives, hard=hard).objective(np.arange(20), np.random.default_rng(0), 0.0).views
        for hard in (NONE, left_behind((np.arange(20) + 4) % N))
    ]
    assert len(shown[1]) == len(shown[0]) + 1
