"""SIM: search the long sequence first, attend to what was found (Pi et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable

from openmoon.ctr.blocks.attention import ChosenActivation, LocalActivation
from openmoon.ctr.blocks.interest import Interest, Parts
from openmoon.ctr.blocks.search import Found, by_category, by_ids
from openmoon.ctr.models.inputs import Inputs
from openmoon.ctr.scene import Scene

LATEST = 20  # behaviours that are looked at whatever the search finds


class SearchedInterest(Interest):
    """The latest behaviours, and those that a search finds in the whole sequence, each under DIN's activation unit."""

    def __init__(self, width: int, hidden: int, find: Callable[[Scene], Found]) -> None:
        super().__init__()
        self.find = find
        self.latest, self.found = LocalActivation(width, hidden), ChosenActivation(width, hidden)
        self.candidate_width = 2 * width

    def forward(self, scene: Scene) -> Parts:
        """Two parts per candidate, (R, K, ids) each."""
        newest, there = scene.newest(LATEST)
        latest = self.latest(newest, scene.target, there)
        found = self.find(scene)
        return Parts([], [latest, self.found(found.embeddings(scene), scene.target, found.mask)])


def sim_hard(inputs: Inputs) -> list[Interest]:
    """Search by category."""
    count = inputs.config.search
    return [SearchedInterest(inputs.ids, inputs.config.attention, lambda scene: by_category(scene, count))]


def sim_soft(inputs: Inputs) -> list[Interest]:
    """Search by the inner product of the id embeddings that are being learnt."""
    count = inputs.config.search
    return [SearchedInterest(inputs.ids, inputs.config.attention, lambda scene: by_ids(scene, count))]
