"""ETA: search by the bits that random projections of id embeddings share (Chen et al. 2021)."""

from __future__ import annotations

import torch

from openmoon.ctr.blocks.interest import Interest
from openmoon.ctr.blocks.search import by_hash
from openmoon.ctr.models.inputs import Inputs
from openmoon.ctr.models.sim import SearchedInterest

BITS = 32


def eta(inputs: Inputs) -> list[Interest]:
    """SIM with a search by locality-sensitive hashing. The planes are drawn once and stay."""
    planes = torch.randn(inputs.ids, BITS, generator=torch.Generator().manual_seed(0))
    count = inputs.config.search
    return [SearchedInterest(inputs.ids, inputs.config.attention, lambda scene: by_hash(scene, planes, count))]
