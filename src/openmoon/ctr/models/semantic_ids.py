"""Semantic ids beside the ids: codes of the vectors as features that are trained (PQ and residual codes in recommenders)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from openmoon.ctr.blocks.attention import LocalActivation
from openmoon.ctr.blocks.interest import Interest, Parts
from openmoon.ctr.codes import Codebooks
from openmoon.ctr.models.din import din
from openmoon.ctr.models.inputs import Inputs
from openmoon.ctr.scene import STD, Scene


class SemanticIds(Interest):
    """The candidate's codes, and attention over those of the behaviours. An embedding per code and level starts from the
    codebook's centroid along its `width` main directions; an entity is the sum of its codes' embeddings.

    `codes` (rows of entities, levels) are codes from 1, 0 = has no vector; looked up, not part of the weights.
    """

    def __init__(self, codebooks: Codebooks, codes: np.ndarray, width: int, hidden: int) -> None:
        super().__init__()
        levels, size, _ = codebooks.centroids.shape
        self.embeddings = nn.Embedding(levels * (size + 1), width)
        start = _main_directions(codebooks.centroids.reshape(levels * size, -1), width).reshape(levels, size, width)
        with torch.no_grad():
            self.embeddings.weight.copy_(torch.from_numpy(np.pad(start, ((0, 0), (1, 0), (0, 0)))).flatten(0, 1))
        self.codebooks = codebooks
        self.rows: torch.Tensor
        self._offsets = np.arange(levels) * (size + 1)
        self.register_buffer("rows", torch.from_numpy(codes + self._offsets), persistent=False)
        self.attend = LocalActivation(width, hidden)
        self.request_width, self.candidate_width = width, 2 * width

    def forward(self, scene: Scene) -> Parts:
        """The query's codes per request; the candidate's and those of its behaviours per candidate."""
        target, past, asked = (self.embeddings(self.rows[rows]).sum(-2)
                               for rows in (scene.batch.item, scene.batch.history, scene.batch.query))  # fmt: skip
        return Parts([asked], [target, self.attend(past, target, scene.mask)])

    def place(self, row: int, vector: torch.Tensor) -> None:
        """See `Interest`."""
        codes = self.codebooks.encode(vector[None].numpy())[0] + 1 if vector.any() else 0
        self.rows[row] = torch.from_numpy(self._offsets + codes)


def semantic_ids(inputs: Inputs, codebooks: Codebooks, codes: np.ndarray) -> Sequence[Interest]:
    """DIN and semantic ids."""
    return [*din(inputs), SemanticIds(codebooks, codes, inputs.ids, inputs.config.attention)]


def _main_directions(centroids: np.ndarray, width: int) -> np.ndarray:
    """(n, D) → (n, width) float32 along the principal directions, scaled to the spread that embeddings start with."""
    _, _, directions = np.linalg.svd(centroids, full_matrices=False)
    found = centroids @ directions[:width].T
    found = np.pad(found, ((0, 0), (0, width - found.shape[1])))
    return (found / max(found.std(), 1e-12) * STD).astype(np.float32)
