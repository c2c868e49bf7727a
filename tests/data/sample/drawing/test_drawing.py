"""Pictures: every shape draws in every variant, differences between products are visible, cut-outs find the product."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from openmoon.data.images import ImageRejected
from openmoon.data.sample.drawing.geometry import mirrored, smooth
from openmoon.data.sample.drawing.photos import cut_out, shopper_photo
from openmoon.data.sample.drawing.render import Look, catalogue_photo, draw_product
from openmoon.data.sample.drawing.shapes import SHAPES
from openmoon.data.sample.drawing.textures import MATERIALS, PATTERNS, grain, pattern

LOOK = Look("mug", "straight", (0.0, 0.0, 0.0, 0.0), (200, 40, 40), (240, 240, 240), "plain", 14.0, 0.0, "ceramic", 1)
EVERY = [(kind, variant) for kind, shape in SHAPES.items() for variant in shape.variants]


def test_there_are_at_least_ten_types_with_variants() -> None:
    assert len(SHAPES) >= 10
    assert all(len(shape.variants) >= 3 for shape in SHAPES.values())


@pytest.mark.parametrize(("kind", "variant"), EVERY)
def test_every_variant_fills_a_good_part_of_the_picture(kind: str, variant: str) -> None:
    for corner in (-1.0, 1.0):
        cutout = draw_product(replace(LOOK, kind=kind, variant=variant, g=(corner,) * 4))
        assert 0.05 < cutout.coverage.mean() < 0.7
        assert cutout.rgb.min() >= 0
        assert cutout.rgb.max() <= 255


def test_variants_of_a_type_look_different() -> None:
    for kind, shape in SHAPES.items():
        drawn = [draw_product(replace(LOOK, kind=kind, variant=variant)).rgb for variant in shape.variants]
        pixels = [(np.abs(a - b).max(axis=2) > 25).sum() for i, a in enumerate(drawn) for b in drawn[:i]]
        assert min(pixels) > 300, kind


@pytest.mark.parametrize(
    "change",
    [{"main": (60, 60, 180)}, {"pattern": "striped"}, {"mark": 3}, {"second": (40, 120, 60)}, {"material": "stoneware"},
     {"g": (1.0, 1.0, 1.0, 1.0)}],
)  # fmt: skip
def test_what_tells_siblings_apart_survives_in_a_photo(change: dict[str, object]) -> None:
    def photo(look: Look) -> np.ndarray:
        return np.asarray(shopper_photo(draw_product(look), np.random.default_rng(8))[0], dtype=float)

    difference = np.abs(photo(replace(LOOK, **change)) - photo(LOOK)).max(axis=2)
    assert (difference > 12).sum() > 60  # pixels


@given(st.sampled_from(sorted(PATTERNS)), st.floats(9, 24), st.sampled_from([0.0, np.pi / 4, np.pi / 2]))
@settings(max_examples=30, deadline=None)
def test_patterns_are_shares_with_both_colours(name: str, period: float, angle: float) -> None:
    share = pattern(name, 224, period, angle)
    if name == "plain":
        assert share is None
    else:
        assert share.shape == (224, 224)
        assert share.min() >= 0
        assert share.max() <= 1
        assert 0.05 < share.mean() < 0.8


def test_grain_is_centred() -> None:
    for material in MATERIALS.values():
        texture = grain(material.grain, 224)
        assert texture is None or (abs(texture.mean()) < 0.25 and np.abs(texture).max() < 2)


def test_outlines_are_smooth_and_symmetric() -> None:
    assert len(smooth([(0, 0), (1, 0), (1, 1), (0, 1)], rounds=3)) == 32
    outline = mirrored((0.1, 0.2), (0.3, 0.9))
    assert np.allclose(np.sort(outline[:, 0]), np.sort(1 - outline[:, 0]))
    open_line = smooth([(0, 0), (1, 0), (1, 1)], closed=False)
    assert np.allclose(open_line[[0, -1]], [(0, 0), (1, 1)])


def test_a_cut_out_covers_the_product_and_not_the_backdrop(tmp_path: Path) -> None:
    look = replace(LOOK, kind="boot", variant="ankle")
    true = draw_product(look).coverage > 0.5
    catalogue_photo(look, np.random.default_rng(0)).save(tmp_path / "boot.png")
    found = cut_out(tmp_path / "boot.png").coverage > 0.5
    assert (found & true).sum() / (found | true).sum() > 0.75


def test_a_photo_without_backdrop_stays_whole_and_a_broken_one_is_rejected(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert cut_out(tmp_path / "noise.png").coverage.min() == 1
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(ImageRejected):
        cut_out(tmp_path / "broken.jpg")
