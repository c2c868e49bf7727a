"""A batch of views → vectors: token sources feed the encoder's fusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from openmoon.data.views import Parts, Views
from openmoon.errors import UserError
from openmoon.models.encoder import ProductEncoder
from openmoon.models.tokens import by_length
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

        Rows with the same modalities and texts of a length go through the fusion together, so none is padded much.
        """
        groups = views.by_composition()
        parts = [self._same_composition(views.take(rows), rng) for rows in groups]
        return _in_order(parts, torch.from_numpy(np.concatenate(groups)))

    def _same_composition(self, views: Views, rng: np.random.Generator | None) -> Encoded:
        image, text = self.images(views.images, rng), self.texts(views.texts, rng)
        groups = by_length(text.mask.sum(1)) if text is not None else []
        if text is None or len(groups) == 1:
            return Encoded(*self.encoder.routed(image, text))
        parts = [Encoded(*self.encoder.routed(image and image.take(rows), text.take(rows))) for rows in groups]
        return _in_order(parts, torch.cat(groups))

    @torch.inference_mode()
    def vectors(
        self, parts: Parts, view: str, rows: Sequence[int] | np.ndarray, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """(N, dim) float32 of `rows` of `parts` under `view`; pictures are augmented when `rng` is given. `UserError` where
        one is not finite: ranked by such vectors, everything would come first."""
        batches = self._batches(parts, view, np.asarray(rows), rng)
        found = np.concatenate([np.empty((0, self.encoder.dim), np.float32), *batches])
        if not np.isfinite(found).all():
            raise UserError("the encoder's vectors hold NaN or infinity: training broke its weights; lower lr and trunk_lr.")
        return found

    def _batches(
        self, parts: Parts, view: str, rows: np.ndarray, rng: np.random.Generator | None
    ) -> Iterator[np.ndarray]:
        for start in range(0, len(rows), BATCH):
            chunk = rows[start : start + BATCH]
            yield self(parts.show([view] * len(chunk), chunk), rng).vectors.float().cpu().numpy()


def _in_order(parts: Sequence[Encoded], rows: torch.Tensor) -> Encoded:
    """Parts whose rows, one after the other, are numbered `rows` → the whole, in the order of the numbers."""
    place = rows.argsort().to(parts[0].vectors.device)
    routing = [part.routing for part in parts if part.routing is not None]
    return Encoded(torch.cat([part.vectors for part in parts])[place], torch.cat(routing)[place] if routing else None)
