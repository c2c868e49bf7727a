from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from openmoon import ProductEncoder
from openmoon.data.image_cache import ImageCache
from openmoon.data.views import Parts, Views
from openmoon.errors import UserError
from openmoon.models import tokens
from openmoon.training import featurize as featurize_module
from openmoon.training.featurize import Featurizer
from openmoon.training.sources import LiveImages, LiveText


@pytest.mark.parametrize("width", [1, 3, 16])
def test_grouping_by_composition_and_length_changes_no_vector(
    tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "ALIKE", width)
    cache = ImageCache(tmp_path / "cache", 32)
    cache.fill(pictures)
    a, b, *_ = cache.keys(pictures)
    views = Views(["red boot", None, "blue bag with dots", "lamp", None, "mug", "lamp", "blue bag with red dots"],
                  [None, a, b, None, b, a, b, None])  # fmt: skip
    featurize = Featurizer(tiny_encoder, LiveImages(tiny_encoder.image, cache, 32, 0.5), LiveText(tiny_encoder.text))
    featurize.texts.prepare([t for t in views.texts if t], lambda chunks, what, total: chunks)
    together = featurize(views).vectors
    alone = torch.cat([featurize(views.take(np.array([row]))).vectors for row in range(len(views))])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    padded = tiny_encoder(featurize.images(views.images, None), featurize.texts(views.texts, None))
    torch.testing.assert_close(together, padded, atol=1e-5, rtol=1e-5)
    gradients = []
    for vectors in (together, alone):
        tiny_encoder.zero_grad()
        (vectors[:, 0].square().sum() + vectors[:, 1].sum()).backward()
        gradients.append({name: p.grad.clone() for name, p in tiny_encoder.named_parameters() if p.grad is not None})
    assert any(name.startswith("text.") for name in gradients[0])
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-5, rtol=1e-4)


@pytest.fixture
def tables(tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path) -> tuple[Featurizer, Parts]:
    """Six pictures, four of them with a title."""
    cache = ImageCache(tmp_path / "cache", 32)
    cache.fill(pictures)
    keys = np.array(cache.keys(pictures), dtype=object)
    parts = Parts({"title": np.array(["red boot", None, "lamp", "mug", "bag", None], dtype=object)}, keys)
    featurize = Featurizer(tiny_encoder, LiveImages(tiny_encoder.image, cache, 32, 0.5), LiveText(tiny_encoder.text))
    featurize.texts.prepare(["red boot", "lamp", "mug", "bag"], lambda chunks, what, total: chunks)
    return featurize, parts


def test_vectors_of_a_table(tables: tuple[Featurizer, Parts], tiny_encoder: ProductEncoder, pictures: list[Path]) -> None:
    featurize, parts = tables
    vectors = featurize.vectors(parts, "title+image", [4, 1])
    expected = tiny_encoder.encode([{"text": "bag", "image": pictures[4]}, pictures[1]])
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert featurize.vectors(parts, "image", []).shape == (0, 8)


def test_vectors_of_a_broken_encoder_are_refused(tables: tuple[Featurizer, Parts], tiny_encoder: ProductEncoder) -> None:
    """Nothing is above what is not a number: such an encoder would have a perfect score."""
    featurize, parts = tables
    with torch.no_grad():
        tiny_encoder.fusion.head.weight[0, 0] = torch.nan
    with pytest.raises(UserError, match="training broke its weights"):
        featurize.vectors(parts, "title+image", [4, 1])


def test_a_table_is_read_in_batches(tables: tuple[Featurizer, Parts], monkeypatch: pytest.MonkeyPatch) -> None:
    featurize, parts = tables
    rows = np.array([5, 1, 0, 2, 4])
    whole = featurize.vectors(parts, "title+image", rows)
    monkeypatch.setattr(featurize_module, "BATCH", 2)
    np.testing.assert_allclose(featurize.vectors(parts, "title+image", rows), whole, atol=1e-5)


def test_a_generator_augments_pictures_alone(tables: tuple[Featurizer, Parts]) -> None:
    featurize, parts = tables
    shown = Views(["red boot", None, "lamp"], [None, parts.images[0], parts.images[1]])
    plain, changed = featurize(shown).vectors, featurize(shown, np.random.default_rng(0)).vectors
    torch.testing.assert_close(changed[0], plain[0])
    assert ((changed - plain)[1:].abs().amax(1) > 1e-3).all()
