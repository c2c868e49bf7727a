"""Raw vectors beside the ids, the simplest way to use them."""

from __future__ import annotations

from torch import nn

from openmoon.ctr.blocks.interest import Interest, Parts
from openmoon.ctr.models.din import din
from openmoon.ctr.models.inputs import Inputs
from openmoon.ctr.scene import Scene


class RawVectors(Interest):
    """Vectors of the candidate, of the query, and the mean of the behaviours', each mapped to the width of a field."""

    def __init__(self, vector: int, width: int) -> None:
        super().__init__()
        self.item, self.query, self.past = (nn.Linear(vector, width) for _ in range(3))
        self.request_width, self.candidate_width = 2 * width, width

    def forward(self, scene: Scene) -> Parts:
        """Two parts per request and one per candidate."""
        past = self.past(scene.mean(scene.behaviour_vectors))
        return Parts([self.query(scene.query_vector), past], [self.item(scene.target_vector)])


def concat(inputs: Inputs) -> list[Interest]:
    """DIN and raw vectors."""
    return [*din(inputs), RawVectors(inputs.vector, 4 * inputs.config.dim)]
