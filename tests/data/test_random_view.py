from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from openmoon.data.random_view import plain_view, random_view

PIXELS = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), dtype=np.uint8)


def test_no_strength_is_the_plain_picture() -> None:
    expected = torch.from_numpy(PIXELS).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(random_view(PIXELS, 32, 0.0, np.random.default_rng(0)), expected)
    smaller = np.stack([Image.fromarray(one).resize((16, 16), Image.Resampling.BILINEAR) for one in PIXELS])
    np.testing.assert_allclose(plain_view(PIXELS, 16).permute(0, 2, 3, 1), smaller, atol=1)


def test_views_are_pictures_of_the_asked_size() -> None:
    for strength in (0.2, 1.0):
        view = random_view(PIXELS, 24, strength, np.random.default_rng(1))
        assert view.shape == (5, 3, 24, 24)
        assert view.min() >= 0
        assert view.max() <= 255


def test_the_generator_decides_everything() -> None:
    views = [random_view(PIXELS, 32, 0.8, np.random.default_rng(seed)) for seed in (3, 3, 4)]
    torch.testing.assert_close(views[0], views[1], rtol=0, atol=0)
    assert not torch.equal(views[0], views[2])


def test_strength_is_distance_from_the_picture() -> None:
    smooth = np.kron(PIXELS[:, ::8, ::8], np.ones((1, 8, 8, 1), np.uint8))
    plain = plain_view(smooth, 32)
    distances = [np.mean([float((random_view(smooth, 32, s, np.random.default_rng(k)) - plain).abs().mean()) for k in range(8)])
                 for s in (0.1, 0.5, 1.0)]  # fmt: skip
    assert distances == sorted(distances)


def test_every_picture_is_changed_in_its_own_way() -> None:
    same = np.repeat(PIXELS[:1], 4, axis=0)
    view = random_view(same, 32, 0.8, np.random.default_rng(0))
    assert all(not torch.equal(view[0], view[i]) for i in range(1, 4))
