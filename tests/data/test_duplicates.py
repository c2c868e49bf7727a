"""Copies of a picture are found however they were stored; other pictures of the same kind are not."""

from __future__ import annotations

from io import BytesIO

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from openmoon.data.duplicates import LOOK, _close_hashes, components, looks, near_duplicates
from openmoon.data.images import load_image


def picture(seed: int, size: int = 224) -> Image.Image:
    """Smooth random blobs: a different composition for each seed."""
    noise = np.random.default_rng(seed).integers(0, 255, (9, 9, 3), np.uint8)
    return Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)


def stored(image: Image.Image, quality: int = 90) -> np.ndarray:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return load_image(buffer.getvalue(), 224)


def test_hash_agrees_with_imagehash() -> None:
    images = [picture(seed).filter(ImageFilter.GaussianBlur(2)) for seed in range(40)]
    ours = looks(np.stack([np.asarray(image) for image in images]))["hash"]
    theirs = np.array([int(str(imagehash.phash(image)), 16) for image in images], np.uint64)
    assert np.bitwise_count(ours ^ theirs).mean() < 2


@pytest.mark.parametrize("side", [32, 100, 224])
def test_thumbnails_are_cell_means(side: int) -> None:
    pixels = np.full((2, side, side, 3), 40, np.uint8)
    pixels[1, :, side // 2 :] = 200
    thumbnails = looks(pixels)["thumbnail"]
    assert (thumbnails[0] == 40).all()
    assert (thumbnails[1, :, :7] == 40).all()
    assert (thumbnails[1, :, 9:] == 200).all()


def test_copies_are_grouped_and_others_are_not() -> None:
    pictures = []
    for seed in range(20):
        image = picture(seed)
        brighter = image.point(lambda level: min(255, int(level * 1.05)))
        pictures += [stored(image), stored(image, 50), stored(image.resize((120, 120))), stored(brighter)]
    labels = near_duplicates(looks(np.stack(pictures))).reshape(20, 4)
    assert (labels == labels[:, :1]).all()
    assert len(set(labels[:, 0].tolist())) == 20


def test_colour_tells_products_of_one_shape_apart() -> None:
    pixels = np.full((2, 64, 64, 3), 255, np.uint8)
    pixels[0, 16:48, 16:48] = (200, 30, 30)
    pixels[1, 16:48, 16:48] = (30, 30, 200)
    found = looks(pixels)
    labels = near_duplicates(found, distance=64)
    assert labels[0] != labels[1]


@given(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=30), st.integers(0, 6), st.data())
def test_close_hashes_are_all_found(values: list[int], distance: int, data: st.DataObject) -> None:
    flips = data.draw(st.lists(st.integers(0, 63), max_size=distance))
    values.append(values[0] ^ sum(1 << bit for bit in set(flips)))
    hashes = np.array(values, np.uint64)
    found = {tuple(sorted(pair)) for pair in _close_hashes(hashes, distance).tolist()}
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None])
    expected = {(i, j) for i in range(len(values)) for j in range(i + 1, len(values)) if distances[i, j] <= distance}
    assert found == expected


@given(st.integers(1, 30), st.data())
def test_components_are_connected(count: int, data: st.DataObject) -> None:
    node = st.integers(0, count - 1)
    pairs = np.array(data.draw(st.lists(st.tuples(node, node), max_size=40)), np.int64).reshape(-1, 2)
    labels = components(pairs, count)
    reach = np.eye(count, dtype=bool)
    reach[pairs[:, 0], pairs[:, 1]] = reach[pairs[:, 1], pairs[:, 0]] = True
    for _ in range(count):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    assert ((labels[:, None] == labels[None]) == reach).all()


def test_nothing_and_one_picture() -> None:
    assert len(near_duplicates(np.empty(0, LOOK))) == 0
    assert near_duplicates(looks(np.zeros((1, 32, 32, 3), np.uint8))).tolist() == [0]
