"""Heatmaps are true: equal to a plain loop, follow the subject when it moves, change with the target and with the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from openmoon.config import EncoderConfig
from openmoon.evaluation.heatmap import (
    GRID,
    REACH,
    STRIDE,
    WINDOW,
    Occlusion,
    match_heatmaps,
    occlude,
    text_heatmaps,
    windows,
)
from openmoon.models.encoder import ProductEncoder, build_encoder

PER_AXIS = round(1 / STRIDE) + 1


class Amounts:
    """An encoder of 64 px pictures whose truth is known: how much red and how much blue; words ask for one of them."""

    image_size = 64

    def encode(self, inputs, /):
        asked = {"red": [1.0, 0.0, 0.0], "blue": [0.0, 1.0, 0.0], "red blue": [0.7, 0.7, 0.0], "red red": [1.0, 0.0, 0.0]}
        rows = [asked[one] if isinstance(one, str) else self.amounts(one) for one in inputs]
        return np.array(rows, np.float32) / np.linalg.norm(rows, axis=1, keepdims=True)

    @staticmethod
    def amounts(picture):
        red, green, blue = (picture.astype(float) / 255).transpose(2, 0, 1)
        return [(red - green).clip(0).sum(), (blue - green).clip(0).sum(), 100.0]


def scene(size, **blocks):
    """White, with a block a quarter of the side at each named colour's (left, top), in shares of the side."""
    picture = Image.new("RGB", (size, size), "white")
    for colour, (x, y) in blocks.items():
        box = (round(x * size), round(y * size), round((x + 0.25) * size) - 1, round((y + 0.25) * size) - 1)
        ImageDraw.Draw(picture).rectangle(box, fill=colour)
    return np.asarray(picture)


def centre(heat):
    """(x, y) of the centre of the positive mass, in shares of the side."""
    positive = heat.clip(0) / heat.clip(0).sum()
    at = (np.arange(GRID) + 0.5) / GRID
    return np.array([positive.sum(0) @ at, positive.sum(1) @ at])


def test_maps_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    occlusion = Occlusion(rng.normal(size=5), rng.normal(size=(PER_AXIS**2, 5)))
    target = rng.normal(size=5)
    (heat,) = occlusion.maps(target[None])
    for y, x in [(0, 0), (3, 30), (16, 15), (31, 31)]:
        loss = weight = 0.0
        for row in range(PER_AXIS):
            for column in range(PER_AXIS):
                near = [max(0, 1 - abs((cell + 0.5) / GRID - n * STRIDE) / REACH) for cell, n in ((y, row), (x, column))]
                lost = target @ occlusion.whole - target @ occlusion.hidden[row * PER_AXIS + column]
                loss, weight = loss + lost * near[0] * near[1], weight + near[0] * near[1]
        assert heat[y, x] == pytest.approx(loss / weight, rel=1e-5)


@pytest.mark.parametrize("side", [32, 128, 130])
def test_windows_hide_every_pixel_wholly_and_as_often_from_every_side(side):
    cover = windows(side)
    assert cover.shape == (PER_AXIS**2, side, side)
    assert cover.min() == 0
    assert (cover.max(0) == 1).all()
    np.testing.assert_allclose(cover.sum((1, 2))[PER_AXIS**2 // 2], (WINDOW * side) ** 2, rtol=0.05)
    times = cover.sum(0)
    np.testing.assert_allclose(times, times[::-1], rtol=1e-5)
    np.testing.assert_allclose(times, times.T, rtol=1e-5)


@given(st.floats(0, 0.75), st.floats(0, 0.75))
def test_each_word_is_found_where_it_is(x, y):
    far = ((x + 0.5) % 1 * 0.75, (y + 0.5) % 1 * 0.75)
    if abs(x - far[0]) < 0.25 and abs(y - far[1]) < 0.25:
        return
    whole, (red, blue) = text_heatmaps(Amounts(), scene(64, red=(x, y), blue=far), "red blue")
    assert [whole.label, red.label, blue.label] == ["red blue", "red", "blue"]
    for one, block in ((red, (x, y)), (blue, far)):
        row, column = np.unravel_index(one.map.argmax(), one.map.shape)
        assert abs((column + 0.5) / GRID - block[0] - 0.125) < 0.25
        assert abs((row + 0.5) / GRID - block[1] - 0.125) < 0.25


def test_a_region_that_speaks_against_the_match_is_negative():
    _, (red, _) = text_heatmaps(Amounts(), scene(64, red=(0, 0.4), blue=(0.75, 0.4)), "red blue")
    assert red.map[GRID // 2, 3] > 0.05
    assert red.map[GRID // 2, -3] < -0.05  # without the blue block the picture would be redder


def test_a_repeated_word_has_one_map():
    _, words = text_heatmaps(Amounts(), scene(64, red=(0, 0)), "red red")
    assert [word.label for word in words] == ["red"]


def test_two_pictures_match_by_what_they_share():
    a, b = scene(64, red=(0, 0), blue=(0.75, 0.75)), scene(64, red=(0.75, 0))
    over_a, over_b = match_heatmaps(Amounts(), a, b, ("a", "b"))
    assert over_a.similarity == pytest.approx(over_b.similarity)
    assert (over_a.label, over_b.label) == ("a", "b")
    assert over_a.map[3, 3] > 0.05 > 0 > over_a.map[-3, -3]
    assert over_b.map[3, -3] > 0.05
    assert abs(over_b.map[-3, 3]) < 1e-6


def test_a_plain_picture_has_no_regions(tiny_encoder: ProductEncoder):
    """The window is painted in the border's colour, so there is nothing to hide."""
    (heat,) = occlude(tiny_encoder, scene(32)).maps(tiny_encoder.encode(["red boot"]))
    np.testing.assert_allclose(heat, 0, atol=1e-6)


PLACES = [(0.0, 0.0), (0.75, 0.0), (0.0, 0.75), (0.75, 0.75), (0.375, 0.375)]


def followed(encoder, size, target=None):
    """(5, 2) how far the maps' centres are from the middle, and the same of the subject, when it moves over five places.
    The target is a picture, or each picture itself."""
    pictures = [scene(size, maroon=place) for place in PLACES]
    seen = [occlude(encoder, one) for one in pictures]
    targets = [one.whole for one in seen] if target is None else [encoder.encode([target])[0]] * len(seen)
    centres = [centre(one.maps(wanted[None])[0]) for one, wanted in zip(seen, targets, strict=True)]
    return np.array(centres) - 0.5, np.array(PLACES) + 0.125 - 0.5


def assert_follows(found, subject):
    for axis in (0, 1):
        assert np.corrcoef(found[:, axis], subject[:, axis])[0, 1] > 0.9
    assert (np.sign(found[:4]) == np.sign(subject[:4])).all()
    assert np.abs(found[:4]).min() > 0.05
    assert np.abs(found[4]).max() < 0.1


@pytest.fixture(scope="module")
def efficientnet(tiny_trunks) -> ProductEncoder:
    """The pretrained image trunk, tokens projected at random: what an encoder is before it is trained."""
    torch.manual_seed(0)
    return build_encoder(EncoderConfig.model_validate({
        "image": {"size": 128}, "text": {"trunk": tiny_trunks[1]}, "fusion": {"width": 64, "layers": 1, "heads": 2}, "dims": [64],
    }))  # fmt: skip


def test_the_map_of_a_pretrained_trunk_follows_the_subject(efficientnet: ProductEncoder):
    assert_follows(*followed(efficientnet, 128, scene(128, maroon=(0.375, 0.375))))


def test_the_map_of_a_vision_transformer_follows_the_subject(tiny_encoder: ProductEncoder):
    assert_follows(*followed(tiny_encoder, 32))


def test_the_map_depends_on_the_weights(tiny_encoder: ProductEncoder, tiny_config: EncoderConfig):
    """What stays the same for another encoder explains neither (Adebayo et al. 2018)."""
    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    torch.manual_seed(5)
    first, other = (text_heatmaps(one, picture, "red boot")[0].map for one in (tiny_encoder, build_encoder(tiny_config)))
    assert np.corrcoef(first.ravel(), other.ravel())[0, 1] < 0.7


def test_a_window_has_the_colour_of_the_border() -> None:
    picture = np.full((32, 32, 3), (30, 90, 200), np.uint8)
    picture[0, :5] = 255

    class Seen:
        image_size = 32

        def encode(self, pictures: list[np.ndarray]) -> np.ndarray:
            self.pictures = np.stack(pictures)
            return np.ones((len(pictures), 2))

    seen = Seen()
    occlude(seen, picture)  # type: ignore[arg-type]
    centre = 1 + PER_AXIS**2 // 2
    assert (seen.pictures[centre][10:22, 10:22] == (30, 90, 200)).all()
