"""The cache decodes each content once, gives back exactly `load_image`'s pixels, and remembers rejections."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openmoon.data import image_cache
from openmoon.data.image_cache import ImageCache
from openmoon.data.images import ImageRejected, load_image


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(7)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8)).save(path)
    (tmp_path / "copy.png").write_bytes(paths[0].read_bytes())
    (tmp_path / "broken.png").write_bytes(paths[0].read_bytes()[:300])
    return [*paths, tmp_path / "copy.png", tmp_path / "broken.png", tmp_path / "absent.png"]


def test_pixels_equal_load_image_across_batches(
    tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_cache, "BATCH", 3)
    cache, seen = ImageCache(tmp_path / "cache", 16), []
    rejected = cache.fill(photos, workers=2, progress=seen.append)
    assert set(rejected) == set(photos[-2:])
    assert sum(seen) == len(photos)
    good = photos[:-2]
    expected = np.stack([load_image(path, 16) for path in good])
    np.testing.assert_array_equal(cache.pixels(cache.keys(good)), expected)
    np.testing.assert_array_equal(ImageCache(tmp_path / "cache", 16).pixels(cache.keys(good)), expected)
    assert cache.key(photos[0]) == cache.key(photos[7])


def test_unchanged_files_are_not_read_again(
    tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ImageCache(tmp_path / "cache", 16).fill(photos)

    def forbidden(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    again = ImageCache(tmp_path / "cache", 16)
    assert again.fill(photos) == first
    assert len(again.keys(photos[:-2])) == 8


def test_changed_file_gets_new_pixels(tmp_path: Path, photos: list[Path]) -> None:
    cache = ImageCache(tmp_path / "cache", 16)
    cache.fill(photos)
    Image.new("RGB", (30, 20), "red").save(photos[1])
    os.utime(photos[1], ns=(1, 1))
    cache.fill(photos)
    assert (cache.pixels([cache.key(photos[1])])[0] == (255, 0, 0)).all()


def test_pixels_of_a_rejected_picture_are_an_error(tmp_path: Path, photos: list[Path]) -> None:
    cache = ImageCache(tmp_path / "cache", 16)
    cache.fill(photos)
    with pytest.raises(KeyError):
        cache.pixels([cache.key(photos[8])])


@pytest.mark.parametrize("name", ["data:;base64," + "A" * 300, "nul\0.jpg", "", "absent/\U0001f600.png"])
def test_names_that_are_no_files_are_rejected_with_a_reason(tmp_path: Path, photos: list[Path], name: str) -> None:
    cache, odd = ImageCache(tmp_path / "cache", 16), tmp_path / name
    rejected = cache.fill([photos[0], odd])
    assert list(rejected) == [odd]
    assert rejected[odd].startswith("cannot be read: ")
    assert cache.readable([photos[0], odd]) == [cache.key(photos[0]), None]
    with pytest.raises(ImageRejected, match="cannot be read"):
        load_image(odd, 16)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipes_and_devices_are_no_pictures(tmp_path: Path, kind: str) -> None:
    """Reading them would wait for ever, or never end."""
    odd = Path("/dev/zero")
    if kind == "pipe":
        odd = tmp_path / "pipe.jpg"
        os.mkfifo(odd)
    cache = ImageCache(tmp_path / "cache", 16)
    assert cache.fill([odd]) == {odd: "cannot be read: is a pipe or a device, not a file"}
    with pytest.raises(OSError, match="is a pipe or a device"):
        cache.key(odd)
    with pytest.raises(ImageRejected, match="is a pipe or a device"):
        load_image(odd, 16)


def test_a_picture_that_became_a_folder_is_no_picture_any_more(tmp_path: Path, photos: list[Path]) -> None:
    cache = ImageCache(tmp_path / "cache", 16)
    cache.fill(photos[:1])
    photos[0].unlink()
    photos[0].mkdir()
    assert cache.fill(photos[:1])[photos[0]].startswith("cannot be read: Is a directory")
    assert cache.readable(photos[:1]) == [None]


def test_a_damaged_memory_of_files_is_forgotten(tmp_path: Path, photos: list[Path]) -> None:
    ImageCache(tmp_path / "cache", 16).fill(photos)
    (memo,) = (tmp_path / "cache").rglob("files.parquet")
    memo.write_bytes(b"no")
    again = ImageCache(tmp_path / "cache", 16)
    assert set(again.fill(photos)) == set(photos[-2:])
    assert again.pixels(again.keys(photos[:-2])).shape == (len(photos) - 2, 16, 16, 3)


def test_addresses_are_no_files(tmp_path: Path) -> None:
    path = tmp_path / "https://cdn.example/a.jpg"
    assert "pictures are read from files" in ImageCache(tmp_path / "cache", 16).fill([path])[path]
