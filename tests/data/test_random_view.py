from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from openmoon.data import random_view as views
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
    found = [random_view(PIXELS, 32, 0.8, np.random.default_rng(seed)) for seed in (3, 3, 4)]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    assert not torch.equal(found[0], found[2])


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


def test_quick_ways_compute_what_the_plain_ones_do() -> None:
    torch.manual_seed(0)
    images = torch.rand(6, 3, 40, 40, dtype=torch.float64) * 255
    cells = torch.rand(6, 3, 7, 7, dtype=torch.float64)
    expected = F.interpolate(cells, size=(40, 40), mode="bicubic", align_corners=False)
    torch.testing.assert_close(views._enlarged(cells, 40), expected)

    marked = torch.rand(6, 1, 9, 9) < 0.1
    expected = F.max_pool2d(marked.float(), 3, stride=1, padding=1).bool()
    assert torch.equal(views._with_neighbours(marked), expected)

    blurred = views._blur(images, 1.0, np.random.default_rng(0))
    soft = F.avg_pool2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
    changed = (blurred != images).flatten(1).any(1)
    assert 0 < changed.sum() < 6
    torch.testing.assert_close(blurred[changed], soft[changed])


def test_light_is_contrast_about_the_mean_of_what_was_saturated_about_gray() -> None:
    torch.manual_seed(0)
    images = torch.rand(4, 3, 8, 8, dtype=torch.float64) * 255
    rng = np.random.default_rng(5)
    bright, cast, contrast, saturation = (
        torch.from_numpy(rng.uniform(1 - width, 1 + width, (4, channels, 1, 1)))
        for width, channels in ((0.4, 1), (0.15, 3), (0.4, 1), (0.4, 1))
    )
    gray = (images * torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64).view(3, 1, 1)).sum(1, keepdim=True)
    saturated = gray + (images - gray) * saturation
    mean = gray.mean((2, 3), keepdim=True)
    expected = ((mean + (saturated - mean) * contrast) * bright * cast).clamp(0, 255)
    torch.testing.assert_close(views._photometry(images, 1.0, np.random.default_rng(5)), expected)


def test_a_view_passes_through_every_part_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = ["_geometry", "_background", "_photometry", "_blur", "_erase"]
    called = []

    def watched(name: str, part: Callable[..., Tensor], *given: Any) -> Tensor:
        called.append(name)
        return part(*given)

    for name in parts:
        monkeypatch.setattr(views, name, partial(watched, name, getattr(views, name)))
    random_view(PIXELS, 32, 0.5, np.random.default_rng(0))
    assert called == parts


def test_half_of_the_views_are_mirrored() -> None:
    ramp = torch.arange(40.0).expand(64, 3, 40, 40).contiguous()
    seen = views._geometry(ramp, 40, 0.5, np.random.default_rng(0))
    assert 0.3 < ((seen[..., -1] - seen[..., 0]).mean((1, 2)) > 0).float().mean() < 0.7


def test_half_of_the_views_have_one_rectangle_painted_over() -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (64, 3, 40, 40))).float()
    erased = views._erase(images.clone(), 1.0, np.random.default_rng(1))
    changed = (erased != images).any(1)
    hit = changed.flatten(1).any(1)
    assert 0.3 < hit.float().mean() < 0.7
    for one, hole in zip(erased[hit], changed[hit], strict=True):
        (top, left), (bottom, right) = hole.nonzero().amin(0), hole.nonzero().amax(0)
        assert len(one[:, top : bottom + 1, left : right + 1].unique()) == 1


def test_the_background_goes_and_what_it_encloses_stays() -> None:
    studio = torch.full((8, 3, 64, 64), 250.0)
    studio[:, :, 16:48, 16:48] = 60.0
    studio[:, :, 28:36, 28:36] = 250.0  # a white print
    changed = views._background(studio, 1.0, np.random.default_rng(0))
    torch.testing.assert_close(changed[:, :, 18:46, 18:46], studio[:, :, 18:46, 18:46])
    assert ((changed - studio)[:, :, :10].abs().mean((1, 2, 3)) > 5).float().mean() > 0.6
    busy = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (8, 3, 64, 64))).float()
    torch.testing.assert_close(views._background(busy, 1.0, np.random.default_rng(0)), busy)
