from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from openmoon import ProductEncoder
from openmoon.models.principal import pooled_features, start_from_data
from openmoon.models.tokens import Tokens


def tokens(n: int, dim: int, seed: int = 0) -> Tokens:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(n, 3, dim, generator=generator) * torch.linspace(3, 0.1, dim) + 5
    return Tokens(values, torch.ones(n, 3, dtype=torch.bool))


def test_vectors_start_as_centred_principal_components(tiny_config) -> None:  # type: ignore[no-untyped-def]
    from openmoon.models.encoder import build_encoder

    torch.manual_seed(0)
    encoder = build_encoder(tiny_config)  # width 16, image tokens of 24
    batch = tokens(200, 24)
    features = pooled_features(batch)
    start_from_data(encoder.fusion, features, None)
    projected = encoder.fusion.image_in[1](features).detach()
    torch.testing.assert_close(projected.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    covariance = torch.cov(projected.T)
    off = covariance - torch.diag(covariance.diag())
    assert off.abs().max() < 1e-4 * covariance.diag().max()
    assert (covariance.diag()[:-1] >= covariance.diag()[1:] - 1e-6).all(), "the most telling direction first"
    assert projected.square().sum(1).mean().item() == pytest.approx(16, rel=1e-4)
    spectrum = np.linalg.eigvalsh(np.cov(features.double().numpy().T))[::-1][:16]
    np.testing.assert_allclose(covariance.diag() / covariance.diag()[0], spectrum / spectrum[0], rtol=1e-3)


def test_pictures_and_texts_start_in_dimensions_of_their_own(tiny_config) -> None:  # type: ignore[no-untyped-def]
    """So that a text stands to a product with a picture as it stands to the product's text alone."""
    from openmoon.models.encoder import build_encoder

    encoder = build_encoder(tiny_config.model_copy(update={"dims": [16]}))
    image, text = tokens(100, 24), tokens(100, encoder.text.dim, seed=1)
    start_from_data(encoder.fusion, pooled_features(image), pooled_features(text))
    pictures, texts = (encoder.fusion(*side)[0].detach() for side in ((image, None), (None, text)))
    assert (pictures[:, 1::2] == 0).all()
    assert (texts[:, ::2] == 0).all()
    for side, own in ((pictures, slice(0, None, 2)), (texts, slice(1, None, 2))):
        assert side.square().sum(1).mean().item() == pytest.approx(16, rel=1e-4)
        spread = side[:, own].var(0)
        assert (spread[:-1] >= spread[1:] - 1e-6).all(), "the most telling direction first"
    both = encoder.fusion(image, text)[0].detach()
    torch.testing.assert_close(texts @ both.T, texts @ texts.T / 2, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("texts", [False, True])
def test_a_fusion_wider_than_its_trunks_keeps_all_that_they_say(tiny_config, texts: bool) -> None:  # type: ignore[no-untyped-def]
    from openmoon.models.encoder import build_encoder

    wide = tiny_config.fusion.model_copy(update={"width": 64})
    encoder = build_encoder(tiny_config.model_copy(update={"fusion": wide, "dims": [64]}))
    image = pooled_features(tokens(200, 24))
    text = pooled_features(tokens(100, encoder.text.dim, seed=1)) if texts else None
    start_from_data(encoder.fusion, image, text)
    projected = encoder.fusion.image_in[1](image).detach()
    centred = image - image.mean(0)
    scale = projected.square().sum() / centred.square().sum()
    torch.testing.assert_close(projected @ projected.T, scale * centred @ centred.T, atol=1e-3, rtol=1e-3)


def test_pictures_that_are_all_the_same_stay_as_they_were(tiny_config) -> None:  # type: ignore[no-untyped-def]
    """A shop of placeholders: no component tells them apart, and none may be blown up."""
    from openmoon.models.encoder import build_encoder

    encoder = build_encoder(tiny_config)
    before = encoder.fusion.image_in[1].weight.clone()
    text = pooled_features(tokens(100, encoder.text.dim, seed=1))
    start_from_data(encoder.fusion, pooled_features(tokens(1, 24)).repeat(50, 1), text)
    torch.testing.assert_close(encoder.fusion.image_in[1].weight, before, rtol=0, atol=0)
    assert (encoder.fusion.text_in[1](text).var(0) > 0).all(), "texts have every dimension"


def test_few_rows_leave_the_rest_random_but_orthogonal(tiny_config) -> None:  # type: ignore[no-untyped-def]
    from openmoon.models.encoder import build_encoder

    encoder = build_encoder(tiny_config)
    start_from_data(encoder.fusion, pooled_features(tokens(5, 24)), None)
    weight = encoder.fusion.image_in[1].weight
    gram = weight @ weight.T
    torch.testing.assert_close(gram, torch.eye(16) * gram[0, 0], atol=1e-4 * gram[0, 0].item(), rtol=0)


def test_a_missing_modality_is_left_as_it_was(tiny_encoder: ProductEncoder) -> None:
    before = tiny_encoder.fusion.text_in[1].weight.clone()
    start_from_data(tiny_encoder.fusion, pooled_features(tokens(50, 24)), None)
    torch.testing.assert_close(tiny_encoder.fusion.text_in[1].weight, before)


def test_pooled_features_are_means_of_normalised_tokens() -> None:
    batch = tokens(2, 8)
    expected = F.layer_norm(batch.values[1], (8,))[:2].mean(0)
    mask = batch.mask.clone()
    mask[1, 2] = False
    torch.testing.assert_close(pooled_features(Tokens(batch.values, mask))[1], expected)
