"""Frozen trunks read from disk give what live ones compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from openmoon import ProductEncoder
from openmoon.data.blend import Blend
from openmoon.data.image_cache import ImageCache
from openmoon.training import sources
from openmoon.training.sources import CachedImages, CachedText, LiveImages, LiveText

TEXTS = ["red boot", None, "blue bag with dots and stripes", "red boot", "lamp"]


def quiet(chunks, description, total):  # type: ignore[no-untyped-def]
    return chunks


@pytest.fixture
def cache(tmp_path: Path, pictures: list[Path]) -> tuple[ImageCache, list[str]]:
    cache = ImageCache(tmp_path / "cache", 32)
    assert cache.fill(pictures) == {}
    return cache, cache.keys(pictures)


def test_cached_text_equals_live_text(tiny_encoder: ProductEncoder, tmp_path: Path) -> None:
    sources = CachedText(tiny_encoder.text, tmp_path), LiveText(tiny_encoder.text)
    for source in sources:
        source.prepare([t for t in TEXTS if t], quiet)
    cached, live = (source(TEXTS, None) for source in sources)
    assert cached is not None
    assert live is not None
    torch.testing.assert_close(cached.mask, live.mask)
    torch.testing.assert_close(
        cached.values.float() * cached.mask[..., None], live.values * live.mask[..., None], atol=5e-3, rtol=5e-3
    )
    assert cached.mask.any(1).tolist() == [True, False, True, True, True]


def test_cached_pictures_equal_live_pictures(
    tiny_encoder: ProductEncoder, cache: tuple[ImageCache, list[str]], tmp_path: Path
) -> None:
    images, keys = cache
    cached = CachedImages(tiny_encoder.image, images, tmp_path, strength=0.5, views=2)
    cached.prepare(keys, quiet)
    live = LiveImages(tiny_encoder.image, images, 32, strength=0.5)
    batch = [keys[0], None, keys[3], keys[0]]
    a, b = cached(batch, None), live(batch, None)
    assert a is not None
    assert b is not None
    torch.testing.assert_close(a.values.float(), b.values, atol=5e-3, rtol=5e-3)
    assert a.mask.any(1).tolist() == [True, False, True, True]


def test_many_pictures_go_through_a_graph_that_gives_the_same_tokens(
    tiny_encoder: ProductEncoder, cache: tuple[ImageCache, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, keys = cache
    tokens = []
    monkeypatch.setattr(sources, "CHUNK", 3)
    monkeypatch.setattr(sources, "cpu_lanes", lambda: 3)
    for enough in (sources.WORTH_EXPORTING, 1):
        monkeypatch.setattr(sources, "WORTH_EXPORTING", enough)
        cached = CachedImages(tiny_encoder.image, images, tmp_path / str(enough), strength=0.5, views=1)
        cached.prepare(keys, quiet, augmented=keys)
        assert (cached.store.folder / "trunk.onnx").exists() == (enough == 1)
        tokens.append([cached(keys, rng) for rng in (None, np.random.default_rng(0))])
    for a, b in zip(*tokens, strict=True):
        assert a is not None
        assert b is not None
        torch.testing.assert_close(a.values, b.values, atol=5e-3, rtol=5e-3)


def test_augmented_views_differ_and_repeat_with_the_generator(
    tiny_encoder: ProductEncoder, cache: tuple[ImageCache, list[str]], tmp_path: Path
) -> None:
    images, keys = cache
    cached = CachedImages(tiny_encoder.image, images, tmp_path, strength=0.8, views=3)
    cached.prepare(keys, quiet, augmented=keys)
    for source in (cached, LiveImages(tiny_encoder.image, images, 32, strength=0.8)):
        draws = [source(keys, np.random.default_rng(seed)) for seed in (1, 1, 2)]
        values = [draw.values for draw in draws if draw is not None]
        torch.testing.assert_close(values[0], values[1], rtol=0, atol=0)
        assert not torch.allclose(values[0], values[2], atol=1e-3)


def test_nothing_is_computed_twice(
    tiny_encoder: ProductEncoder, cache: tuple[ImageCache, list[str]], tmp_path: Path
) -> None:
    images, keys = cache
    work: list[int] = []

    def counted(chunks, description, total):  # type: ignore[no-untyped-def]
        work.append(total)
        return chunks

    for augmented in (keys[:2], keys[:2], keys):
        CachedImages(tiny_encoder.image, images, tmp_path, strength=0.4, views=2).prepare(keys, counted, augmented)
    assert work == [6, 2, 2, 0, 0, 0, 0, 4, 4]
    work.clear()
    CachedImages(tiny_encoder.image, images, tmp_path).prepare(keys, counted)
    assert work == [0], "plain tokens do not depend on the augmentation"


def test_a_killed_fill_goes_on_to_the_same_views(
    tiny_encoder: ProductEncoder, cache: tuple[ImageCache, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, keys = cache
    monkeypatch.setattr(sources, "CHUNK", 4)
    straight, killed = (CachedImages(tiny_encoder.image, images, tmp_path / p, strength=0.8, views=2) for p in "ab")
    straight.prepare(keys, quiet, augmented=keys)
    append = killed.store.append

    def part_of_a_chunk(names: list[str], tokens: list[np.ndarray]) -> None:
        kept = 1 if ".0.8.1" in names[0] else len(names)
        append(names[:kept], tokens[:kept])
        if kept < len(names):
            raise KeyboardInterrupt

    monkeypatch.setattr(killed.store, "append", part_of_a_chunk)
    with pytest.raises(KeyboardInterrupt):
        killed.prepare(keys, quiet, augmented=keys)
    monkeypatch.setattr(killed.store, "append", append)
    killed.prepare(keys, quiet, augmented=keys)
    names = [f"{key}.0.8.{view}" for key in keys for view in (1, 2)]
    for a, b in zip(*(one.store.rows[one.store.locate(names)[0]] for one in (straight, killed)), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)


def test_another_trunk_has_other_tokens(tiny_encoder: ProductEncoder, tmp_path: Path) -> None:
    before = CachedText(tiny_encoder.text, tmp_path).store.folder
    with torch.no_grad():
        next(tiny_encoder.text.parameters()).add_(0.01)
    assert CachedText(tiny_encoder.text, tmp_path).store.folder != before


def test_another_normalisation_has_other_tokens(tiny_encoder: ProductEncoder, tmp_path: Path) -> None:
    images = ImageCache(tmp_path / "cache", 32)
    before = CachedImages(tiny_encoder.image, images, tmp_path).store.folder
    tiny_encoder.image.mean += 0.1
    assert CachedImages(tiny_encoder.image, images, tmp_path).store.folder != before


def test_other_pixels_have_other_tokens(tiny_encoder: ProductEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ImageCache(tmp_path / "pixels", 32)
    before = CachedImages(tiny_encoder.image, cache, tmp_path).store.folder
    monkeypatch.setattr(sources, "PIXELS", sources.PIXELS + 1)
    assert CachedImages(tiny_encoder.image, cache, tmp_path).store.folder != before


def test_nothing_of_a_modality_is_none(tiny_encoder: ProductEncoder, tmp_path: Path) -> None:
    assert CachedText(tiny_encoder.text, tmp_path)([None, None], None) is None


def test_blends_are_made_of_the_pictures_they_name(
    tiny_encoder: ProductEncoder, cache: tuple[ImageCache, list[str]]
) -> None:
    images, keys = cache
    live = LiveImages(tiny_encoder.image, images, 32, strength=0.0)
    ends = [Blend(keys[0], keys[1], 1.0), Blend(keys[0], keys[1], 0.0), Blend(keys[0], keys[1], 0.5), keys[2]]
    blended, plain = live(ends, np.random.default_rng(0)), live(keys[:3], np.random.default_rng(0))
    assert blended is not None
    assert plain is not None
    torch.testing.assert_close(blended.values[[0, 1, 3]], plain.values)
    assert all((blended.values[2] - plain.values[row]).abs().max() > 1e-3 for row in (0, 1))


def test_training_draws_the_plain_and_every_augmented_view(
    tiny_encoder: ProductEncoder, cache: tuple[ImageCache, list[str]], tmp_path: Path
) -> None:
    images, (key, *_) = cache
    source = CachedImages(tiny_encoder.image, images, tmp_path, strength=0.8, views=2)
    source.prepare([key], quiet, augmented=[key])
    known = [source.store.rows[source.store.locate([name])[0]][0] for name in (key, f"{key}.0.8.1", f"{key}.0.8.2")]
    drawn = [source([key], np.random.default_rng(seed)) for seed in range(40)]
    shown = [tokens.values[0, 0].numpy() for tokens in drawn if tokens is not None]
    assert {next(n for n, view in enumerate(known) if np.array_equal(view, one)) for one in shown} == {0, 1, 2}


def test_live_pictures_have_the_size_of_the_crop_in_training_alone(cache: tuple[ImageCache, list[str]]) -> None:
    images, keys = cache
    sides = []

    class Trunk(torch.nn.Module):
        device = torch.device("cpu")

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            sides.append(pixels.shape[-1])
            return torch.zeros(len(pixels), 1, 3)

    source = LiveImages(Trunk(), images, 24, 0.5)  # type: ignore[arg-type]
    source(keys, np.random.default_rng(0))
    source(keys, None)
    assert sides == [24, 32]
