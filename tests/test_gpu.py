"""What runs on a GPU gives what the CPU gives, within what TF32 rounds off."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from openmoon import ProductEncoder
from openmoon.data.image_cache import ImageCache
from openmoon.data.random_view import plain_view, random_view
from openmoon.data.views import Views
from openmoon.device import compute_device
from openmoon.training.featurize import Featurizer
from openmoon.training.sources import CachedText, LiveImages, LiveText

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

CPU = torch.device("cpu")
TEXTS = ["red boot", None, "blue bag with dots and stripes", "lamp"]


@pytest.fixture(autouse=True)
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENMOON_DEVICE", "cuda")


def quiet(chunks, description, total):  # type: ignore[no-untyped-def]
    return chunks


def test_views_are_those_of_the_cpu() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (8, 48, 48, 3)).astype(np.uint8)
    pixels[::2, :6], pixels[::2, -6:], pixels[::2, :, :6], pixels[::2, :, -6:] = 250, 250, 250, 250  # studio pictures
    for size in (32, 48):
        torch.testing.assert_close(
            plain_view(pixels, size, compute_device()).cpu(), plain_view(pixels, size), atol=1e-2, rtol=1e-3
        )
        one, two = (random_view(pixels, size, 0.9, np.random.default_rng(3), where).cpu() for where in (CPU, compute_device()))
        # a pixel at the edge of a background or of a nearest neighbour may fall to the other side
        assert ((one - two).abs() > 0.5).float().mean() < 0.01


def test_gradient_is_that_of_the_cpu(tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path) -> None:
    images = ImageCache(tmp_path / "cache", 32)
    assert images.fill(pictures) == {}
    keys = [None, *images.keys(pictures)[:3]]
    found = []
    for where in (CPU, compute_device()):
        encoder = copy.deepcopy(tiny_encoder).to(where)
        featurize = Featurizer(encoder, LiveImages(encoder.image, images, 32, strength=0.0), LiveText(encoder.text))
        featurize.texts.prepare([text for text in TEXTS if text], quiet)
        vectors = featurize(Views(TEXTS, keys), np.random.default_rng(0)).vectors
        (vectors @ torch.arange(8.0, device=where)).square().sum().backward()
        gradient = [p.grad.flatten().cpu() for p in encoder.parameters() if p.grad is not None]
        found.append((vectors.detach().cpu(), torch.cat(gradient)))
    (vectors, gradient), (there, gradient_there) = found
    torch.testing.assert_close(there, vectors, atol=5e-3, rtol=0)
    assert torch.nn.functional.cosine_similarity(gradient, gradient_there, dim=0) > 0.999
    assert abs(gradient_there.norm() / gradient.norm() - 1) < 0.01


def test_cached_tokens_lie_on_the_gpu(tiny_encoder: ProductEncoder, tmp_path: Path) -> None:
    tiny_encoder.to(compute_device())
    cached, live = CachedText(tiny_encoder.text, tmp_path), LiveText(tiny_encoder.text)
    tokens = []
    for source in (cached, live):
        source.prepare([text for text in TEXTS if text], quiet)
        tokens.append(source(TEXTS, None))
    assert tokens[0] is not None
    assert tokens[1] is not None
    assert tokens[0].values.device == compute_device()
    torch.testing.assert_close(tokens[0].values.float() * tokens[0].mask[..., None], tokens[1].values * tokens[1].mask[..., None],
                               atol=1e-2, rtol=1e-2)  # fmt: skip
