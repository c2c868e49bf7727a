"""MAKE: a network on vectors alone, trained for many epochs, that then joins the id model (Sheng et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from openmoon.ctr.batches import Batch
from openmoon.ctr.blocks.attention import LocalActivation
from openmoon.ctr.blocks.interest import Interest, Parts
from openmoon.ctr.blocks.tower import Tower
from openmoon.ctr.content import Content
from openmoon.ctr.models.din import din
from openmoon.ctr.models.inputs import Inputs
from openmoon.ctr.models.simtier import simtier
from openmoon.ctr.scene import Embeddings, Scene


class ContentNetwork(nn.Module):
    """A DIN on vectors: candidate, query and behaviours mapped to `width`, DIN's attention, a tower. No id of anything enters."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        config, width = inputs.config, 2 * inputs.ids
        self.item, self.past, self.asked = (nn.Linear(inputs.vector, width) for _ in range(3))
        self.attend = LocalActivation(width, config.attention)
        self.tower = Tower(width, 3 * width + 1, config.hidden, config.dropout)
        self.widths = (width, config.hidden[-1], 1)

    def forward(self, scene: Scene) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pooled behaviours (R, K, width), last hidden layer (R, K, hidden), logits (R, K)."""
        scale = scene.target_vector.shape[-1] ** 0.5  # vectors have unit length, layers expect unit variance
        item, asked = self.item(scene.target_vector * scale), self.asked(scene.query_vector * scale)
        pooled = self.attend(self.past(scene.behaviour_vectors * scale), item, scene.mask)
        parts = torch.cat([item, pooled, item * asked[:, None], scene.query_similarity], -1)
        logits, hidden = self.tower(asked, parts)
        return pooled, hidden, logits


class ContentModel(nn.Module):
    """A `ContentNetwork` that is trained by itself."""

    def __init__(self, network: ContentNetwork, embeddings: Embeddings, content: Content) -> None:
        super().__init__()
        self.network, self.content = network, content
        self._embeddings = [embeddings]  # a scene wants them; no weight of them is used or trained

    def forward(self, batch: Batch) -> torch.Tensor:
        """(R, K) logits."""
        _, _, logits = self.network(Scene(batch, self._embeddings[0], self.content))
        return logits

    def training_logits(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(R, K) logits."""
        return logits

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """(R, K) probabilities of a choice."""
        return torch.sigmoid(logits)


class Joined(Interest):
    """Pooled behaviours, last hidden layer and logit of a trained `ContentNetwork`, which stays as it is."""

    def __init__(self, network: ContentNetwork) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self.candidate_width = sum(network.widths)

    def forward(self, scene: Scene) -> Parts:
        """Three parts per candidate."""
        with torch.no_grad():
            self.network.eval()
            pooled, hidden, logits = self.network(scene)
        return Parts([], [pooled, hidden, logits[..., None]])


def make(inputs: Inputs, network: ContentNetwork) -> Sequence[Interest]:
    """DIN and MAKE."""
    return [*din(inputs), Joined(network)]


def simtier_make(inputs: Inputs, network: ContentNetwork) -> Sequence[Interest]:
    """DIN, SimTier and MAKE, as the paper joins them."""
    return [*simtier(inputs), Joined(network)]
