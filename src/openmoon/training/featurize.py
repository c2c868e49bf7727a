"""A batch of views → vectors: token sources feed the encoder's fusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from openmoon.data.views import Parts, Views
from openmoon.models.encoder import ProductEncoder
from openmoon.training.plan import Encoded
from openmoon.training.sources import TokenSource

BATCH = 256  # rows per forward pass where no gradient is needed


class Featurizer:
    """Joins an encoder with the sources of its image and text tokens."""

    def __init__(self, encoder: ProductEncoder, images: TokenSource, texts: TokenSource) -> None:
        self.encoder = encoder
        self.images = images
        self.texts = texts

    def __call__(self, views: Views, rng: np.random.Generator | None = None) -> Encoded:
        """Unit vectors (B, dim); pictures are augmented when `rng` is given.

        Rows with the same modalities go through the encoder together, so none is padded with tokens it does not have.
        """
        groups = views.by_composition()
        parts = [self._same_composition(views.take(rows), rng) for rows in groups]
        place = torch.from_numpy(np.argsort(np.concatenate(groups), kind="stable"))
        place = place.to(parts[0].vectors.device)
        routing = [part.routing for part in parts if part.routing is not None]
        return Encoded(torch.cat([part.vectors for part in parts])[place], torch.cat(routing)[place] if routing else None)

    def _same_composition(self, views: Views, rng: np.random.Generator | None) -> Encoded:
        return Encoded(*self.encoder.routed(self.images(views.images, rng), self.texts(views.texts, rng)))

    @torch.inference_mode()
    def vectors(
        self, parts: Parts, view: str, rows: Sequence[int] | np.ndarray, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """(N, dim) float32 of `rows` of `parts` under `view`; pictures are augmented when `rng` is given."""
        return np.concatenate(
            [np.empty((0, self.encoder.dim), np.float32), *self._batches(parts, view, np.asarray(rows), rng)]
        )

    def _batches(
        self, parts: Parts, view: str, rows: np.ndarray, rng: np.random.Generator | None
    ) -> Iterator[np.ndarray]:
        for start in range(0, len(rows), BATCH):
            chunk = rows[start : start + BATCH]
            yield self(parts.show([view] * len(chunk), chunk), rng).vectors.float().cpu().numpy()
