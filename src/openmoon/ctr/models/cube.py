"""CUBE: MOON's content-based user behaviour extractor (2511.11305, figure 5)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from openmoon.ctr.blocks.attention import weigh
from openmoon.ctr.blocks.interest import Interest, Parts
from openmoon.ctr.models.inputs import Inputs
from openmoon.ctr.scene import Scene

NEWEST = 50  # behaviours whose similarities stand in the tower's input one by one


class Cube(Interest):
    """Per candidate: ID-interest (attention by ids), fusion-interest e′ (content weighs, ids supply), content-interest r′
    (content weighs and supplies), the similarities themselves, the candidate's vector and its cosine with the query; per
    request the query's vector. Weights are softmax(s/τ), τ learnt [R]; vectors are mapped to `width` [R]."""

    def __init__(self, ids: int, vector: int, width: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(ids, ids), nn.Linear(ids, ids)
        self.log_temperature = nn.Parameter(torch.tensor(0.1).log())
        self.interest, self.item, self.asked = (nn.Linear(vector, width, bias=False) for _ in range(3))
        self.request_width, self.candidate_width = width, 2 * ids + 2 * width + NEWEST + 1

    def forward(self, scene: Scene) -> Parts:
        """See the class."""
        ids = self.query(scene.target) @ self.key(scene.behaviours).transpose(1, 2) / scene.target.shape[-1] ** 0.5
        content = scene.similarity / self.log_temperature.exp()
        newest = (scene.similarity * scene.mask[:, None])[..., :NEWEST]
        return Parts(
            [self.asked(scene.query_vector)],
            [
                weigh(ids, scene.mask, scene.behaviours),
                weigh(content, scene.mask, scene.behaviours),
                weigh(content, scene.mask, self.interest(scene.behaviour_vectors)),
                F.pad(newest, (0, NEWEST - newest.shape[-1])),
                self.item(scene.target_vector),
                scene.query_similarity,
            ],
        )


def cube(inputs: Inputs) -> list[Interest]:
    """Fields and CUBE."""
    return [Cube(inputs.ids, inputs.vector, 4 * inputs.config.dim)]
