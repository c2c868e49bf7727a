"""SimTier: how many behaviours are how similar to the candidate."""

from __future__ import annotations

import torch
from torch import nn

from openmoon.ctr.blocks.interest import Interest, Parts
from openmoon.ctr.scene import Scene


def tier_counts(similarity: torch.Tensor, mask: torch.Tensor, tiers: int) -> torch.Tensor:
    """(R, K, L) cosines, mask (R, L) → (R, K, tiers): behaviours in each of `tiers` equal tiers of [-1, 1]."""
    tier = ((similarity + 1) * (tiers / 2)).long().clamp_(0, tiers - 1)
    counts = similarity.new_zeros((*similarity.shape[:2], tiers))
    return counts.scatter_add_(2, tier, mask[:, None].to(similarity.dtype).expand(similarity.shape).contiguous())


class TierEmbedding(nn.Module):
    """Counts (R, K, tiers) → log(count + 1) · embedding of the tier, concatenated: (R, K, tiers · dim)."""

    def __init__(self, tiers: int, dim: int) -> None:
        super().__init__()
        self.tiers = tiers
        self.weight = nn.Parameter(torch.randn(tiers, dim) * 0.1)

    def forward(self, counts: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return (torch.log1p(counts)[..., None] * self.weight).flatten(2)


class SimTier(Interest):
    """The histogram of cosines between candidate and behaviours (Sheng et al. 2024, SimTier)."""

    def __init__(self, tiers: int, dim: int) -> None:
        super().__init__()
        self.embed = TierEmbedding(tiers, dim)
        self.candidate_width = tiers * dim

    def forward(self, scene: Scene) -> Parts:
        """One part per candidate, (R, K, tiers · dim)."""
        counts = tier_counts(scene.similarity.detach(), scene.mask, self.embed.tiers)
        return Parts([], [self.embed(counts)])
