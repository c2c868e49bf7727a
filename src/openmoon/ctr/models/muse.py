"""MUSE: search by frozen vectors, then SimTier and SA-TA (2512.07216)."""

from __future__ import annotations

from openmoon.ctr.blocks.attention import LocalActivation, weigh
from openmoon.ctr.blocks.interest import Interest, Parts
from openmoon.ctr.blocks.search import by_vectors
from openmoon.ctr.blocks.tiers import TierEmbedding
from openmoon.ctr.models.inputs import Inputs
from openmoon.ctr.models.sata import SemanticAttention
from openmoon.ctr.models.sim import LATEST
from openmoon.ctr.models.simtier import QuerySimilarity
from openmoon.ctr.scene import Scene


class LongInterest(Interest):
    """General search unit: the behaviours whose vectors are nearest to the candidate's. Exact search unit: SA-TA on these,
    SimTier on all. Beside them the latest behaviours under DIN's activation unit."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        config = inputs.config
        self.count = config.search
        self.latest = LocalActivation(inputs.ids, config.attention)
        self.attend = SemanticAttention(inputs.ids)
        self.tiers = TierEmbedding(config.tiers, config.dim // 2)
        self.candidate_width = 2 * inputs.ids + config.tiers * (config.dim // 2)

    def forward(self, scene: Scene) -> Parts:
        """Three parts per candidate."""
        newest, there = scene.newest(LATEST)
        latest = self.latest(newest, scene.target, there)
        found = by_vectors(scene, self.count, self.tiers.tiers)
        past, target = found.embeddings(scene), scene.target[:, :, None]
        logits = self.attend.logits(target, past, found.score[:, :, None]).squeeze(2)
        assert found.tiers is not None
        return Parts([], [latest, weigh(logits, found.mask, past), self.tiers(found.tiers)])


def muse(inputs: Inputs) -> list[Interest]:
    """The whole path, and the query's similarity."""
    return [LongInterest(inputs), QuerySimilarity()]
