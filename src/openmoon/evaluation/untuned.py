"""The yardstick "no training at all": the pretrained trunks' own features as vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class UntunedEncoder:
    """Pooled features of the untuned image and text trunks, side by side in one vector.

    `encode_image` maps n picture paths to (n, image_dim) features, `encode_text` n texts to (n, text_dim). Each part is
    scaled to length 1/√2, a missing modality is zeros: the product of two vectors is half the sum of the cosines of what
    both have. Were an item that lacks a part normalised again, it would come before all that have both for every query
    that does not ask for the missing one. The two trunks know nothing of each other, so text → image is not defined
    (`cross_modal`).
    """

    encode_image: Callable[[Sequence[str]], np.ndarray]
    encode_text: Callable[[Sequence[str]], np.ndarray]
    image_dim: int
    text_dim: int
    cross_modal = False

    def __call__(self, inputs: Sequence[dict[str, str]]) -> np.ndarray:
        """Vectors (N, image_dim + text_dim) float32 of N inputs, of length 1 where both parts are there, else 1/√2."""
        vectors = np.zeros((len(inputs), self.image_dim + self.text_dim), np.float32)
        for key, encode, columns in (
            ("image", self.encode_image, slice(0, self.image_dim)),
            ("text", self.encode_text, slice(self.image_dim, None)),
        ):
            rows = [row for row, one in enumerate(inputs) if one.get(key)]
            if rows:
                vectors[rows, columns] = _normalised(encode([inputs[row][key] for row in rows]))
        return vectors / np.float32(np.sqrt(2))


def _normalised(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
