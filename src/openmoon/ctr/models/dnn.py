"""The DNN without content: behaviours count by their mean (Covington et al. 2016)."""

from __future__ import annotations

from openmoon.ctr.blocks.interest import Interest, Parts
from openmoon.ctr.models.inputs import Inputs
from openmoon.ctr.scene import Scene


class MeanInterest(Interest):
    """The mean of the behaviours' id embeddings."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.request_width = width

    def forward(self, scene: Scene) -> Parts:
        """One part per request, (R, ids)."""
        return Parts([scene.mean(scene.behaviours)], [])


def dnn(inputs: Inputs) -> list[Interest]:
    """Fields and mean behaviours."""
    return [MeanInterest(inputs.ids)]
