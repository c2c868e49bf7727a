"""SimTier beside the id model (Sheng et al. 2024)."""

from __future__ import annotations

from openmoon.ctr.blocks.interest import Interest, Parts
from openmoon.ctr.blocks.tiers import SimTier
from openmoon.ctr.models.din import din
from openmoon.ctr.models.inputs import Inputs
from openmoon.ctr.scene import Scene


class QuerySimilarity(Interest):
    """The cosine of candidate and query. The paper's traffic has no queries; where there are some, this belongs beside [R]."""

    candidate_width = 1

    def forward(self, scene: Scene) -> Parts:
        """One number per candidate."""
        return Parts([], [scene.query_similarity])


def simtier(inputs: Inputs) -> list[Interest]:
    """DIN and the histogram of similarities, and the query's."""
    return [*din(inputs), SimTier(inputs.config.tiers, inputs.config.dim // 2), QuerySimilarity()]
