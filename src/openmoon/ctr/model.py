"""A CTR model: fields, a list of interests, a tower."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from openmoon.config.ctr import CtrConfig
from openmoon.ctr.batches import Batch
from openmoon.ctr.blocks.interest import Interest
from openmoon.ctr.blocks.tower import Tower
from openmoon.ctr.content import Content
from openmoon.ctr.scene import Embeddings, Scene

POSITIONS = 64  # places on the page that are told apart; 0 = not known


class CtrModel(nn.Module):
    """Fields of user, candidate, query and moment, and what `interests` make of behaviours and vectors, under one tower.

    With `config.position` the place on the page adds to the logit in training; predictions average over the places that
    training met, so that they do not depend on a place that is not known yet.
    """

    def __init__(
        self, embeddings: Embeddings, content: Content | None, interests: Sequence[Interest], config: CtrConfig
    ) -> None:
        super().__init__()
        self.embeddings, self.content = embeddings, content
        self.interests = nn.ModuleList(interests)
        request = 6 * embeddings.dim + sum(block.request_width for block in interests)
        candidate = 4 * embeddings.dim + sum(block.candidate_width for block in interests)
        self.tower = Tower(request, candidate, config.hidden, config.dropout)
        self.place = nn.Embedding(POSITIONS, 1) if config.position else None
        self.places: torch.Tensor
        self.register_buffer("places", torch.zeros(POSITIONS))
        if self.place is not None:
            nn.init.zeros_(self.place.weight)

    def forward(self, batch: Batch) -> torch.Tensor:
        """(R, K) logits, without the place on the page."""
        scene = Scene(batch, self.embeddings, self.content)
        fields = [self.embeddings.of(name, getattr(batch, name)) for name in ("user", "hour", "weekday", "asks")]
        request, candidate = [*fields, self.embeddings.query(batch.query)], [scene.product]
        for block in self.interests:
            parts = block(scene)
            request += parts.request
            candidate += parts.candidate
        logits, _ = self.tower(torch.cat(request, -1), torch.cat(candidate, -1))
        return logits

    def training_logits(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(R, K) logits that training compares with labels: the place on the page counts here."""
        if self.place is None:
            return logits
        return logits + self.place(batch.position.clamp(max=POSITIONS - 1)).squeeze(-1)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """(R, K) probabilities of a choice, averaged over the places that training met."""
        if self.place is None:
            return torch.sigmoid(logits)
        return torch.sigmoid(logits[..., None] + self.place.weight[:, 0]) @ self.places
