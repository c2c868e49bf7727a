"""Experts that are used alike: the load balance beside whatever an objective compares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from openmoon.losses.dual_alignment import load_balance
from openmoon.models.experts import LOAD, PROBABILITY
from openmoon.training.plan import Encoded, Objective, Plan, StepOutput


def with_balanced_experts(objective: Objective, weight: float) -> Objective:
    """`objective` and, `weight` times, the load balance of the experts over all that a step encodes. The encoder must have
    experts."""

    def plan(rows: np.ndarray, rng: np.random.Generator, progress: float) -> Plan:
        inner = objective(rows, rng, progress)

        def loss(encoded: Sequence[Encoded]) -> StepOutput:
            output = inner.loss(encoded)
            routing = torch.cat([one.routing for one in encoded if one.routing is not None])
            output.losses["load balance"] = weight * load_balance(routing[:, PROBABILITY], routing[:, LOAD])
            return output

        return Plan(inner.views, loss)

    return plan
