"""SA-TA: attention by ids and by content at once (MUSE, 2512.07216)."""

from __future__ import annotations

import torch
from torch import nn

from openmoon.ctr.blocks.attention import weigh
from openmoon.ctr.blocks.interest import Interest, Parts
from openmoon.ctr.models.inputs import Inputs
from openmoon.ctr.models.simtier import QuerySimilarity
from openmoon.ctr.scene import Scene


class SemanticAttention(nn.Module):
    """Logits b₁·a + b₂·s/τ + b₃·a·s/τ of scaled id products a and cosines s, then softmax; b and τ are learnt."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.shares = nn.Parameter(torch.tensor([1.0, 1.0, 0.1]))
        self.log_temperature = nn.Parameter(torch.tensor(0.1).log())

    def logits(self, target: torch.Tensor, behaviours: torch.Tensor, similarity: torch.Tensor) -> torch.Tensor:
        """(..., K, d), (..., S, d), (..., K, S) → (..., K, S)."""
        ids = self.query(target) @ self.key(behaviours).transpose(-1, -2) / target.shape[-1] ** 0.5
        content = similarity / self.log_temperature.exp()
        return self.shares[0] * ids + self.shares[1] * content + self.shares[2] * ids * content


class SemanticTargetAttention(Interest):
    """SA-TA over all behaviours."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attend = SemanticAttention(width)
        self.candidate_width = width

    def forward(self, scene: Scene) -> Parts:
        """One part per candidate, (R, K, ids)."""
        logits = self.attend.logits(scene.target, scene.behaviours, scene.similarity)
        return Parts([], [weigh(logits, scene.mask, scene.behaviours)])


def sata(inputs: Inputs) -> list[Interest]:
    """SA-TA, and the query's similarity."""
    return [SemanticTargetAttention(inputs.ids), QuerySimilarity()]
