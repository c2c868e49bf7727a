"""DIN: each candidate attends to the behaviours that matter to it (Zhou et al. 2018)."""

from __future__ import annotations

from openmoon.ctr.blocks.attention import LocalActivation
from openmoon.ctr.blocks.interest import Interest, Parts
from openmoon.ctr.models.inputs import Inputs
from openmoon.ctr.scene import Scene


class TargetAttention(Interest):
    """DIN's activation unit over all behaviours."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.attend = LocalActivation(width, hidden)
        self.candidate_width = width

    def forward(self, scene: Scene) -> Parts:
        """One part per candidate, (R, K, ids)."""
        return Parts([], [self.attend(scene.behaviours, scene.target, scene.mask)])


def din(inputs: Inputs) -> list[Interest]:
    """Fields and target attention: the id-only model that content is measured against."""
    return [TargetAttention(inputs.ids, inputs.config.attention)]
