from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from openmoon import ProductEncoder
from openmoon.data.image_cache import ImageCache
from openmoon.data.views import Parts, Views
from openmoon.training.featurize import Featurizer
from openmoon.training.sources import LiveImages, LiveText


def test_grouping_by_composition_changes_no_vector(
    tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path
) -> None:
    cache = ImageCache(tmp_path / "cache", 32)
    cache.fill(pictures)
    a, b, *_ = cache.keys(pictures)
    views = Views(["red boot", None, "blue bag with dots", "lamp", None, "mug"], [None, a, b, None, b, a])
    featurize = Featurizer(tiny_encoder, LiveImages(tiny_encoder.image, cache, 32, 0.5), LiveText(tiny_encoder.text))
    featurize.texts.prepare([t for t in views.texts if t], lambda chunks, what, total: chunks)
    together = featurize(views).vectors
    alone = torch.cat([featurize(views.take(np.array([row]))).vectors for row in range(6)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    padded = tiny_encoder(featurize.images(views.images, None), featurize.texts(views.texts, None))
    torch.testing.assert_close(together, padded, atol=1e-5, rtol=1e-5)


def test_vectors_of_a_table(tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", 32)
    cache.fill(pictures)
    keys = np.array(cache.keys(pictures), dtype=object)
    parts = Parts({"title": np.array(["red boot", None, "lamp", "mug", "bag", None], dtype=object)}, keys)
    featurize = Featurizer(tiny_encoder, LiveImages(tiny_encoder.image, cache, 32, 0.5), LiveText(tiny_encoder.text))
    featurize.texts.prepare(["red boot", "lamp", "mug", "bag"], lambda chunks, what, total: chunks)
    vectors = featurize.vectors(parts, "title+image", [4, 1])
    expected = tiny_encoder.encode([{"text": "bag", "image": pictures[4]}, pictures[1]])
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert featurize.vectors(parts, "image", []).shape == (0, 8)
