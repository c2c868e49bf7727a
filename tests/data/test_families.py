from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from openmoon.config import SplitConfig
from openmoon.data.families import families, split_catalog, with_looks
from openmoon.data.image_cache import ImageCache


@pytest.fixture
def pictured(tmp_path: Path) -> tuple[pl.DataFrame, ImageCache]:
    """Ten products; 1 and 4 show copies of one picture at different quality, 2 and 3 are one SPU, 9 has no picture."""
    rng = np.random.default_rng(0)
    cache = ImageCache(tmp_path / "cache", 64)
    keys: list[str | None] = []
    for number in range(9):
        cells = (
            np.random.default_rng(1).integers(0, 255, (8, 8, 3))
            if number in (1, 4)
            else rng.integers(0, 255, (8, 8, 3))
        )
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(np.kron(cells, np.ones((8, 8, 1))).astype(np.uint8)).save(
            path, quality=95 if number == 1 else 70
        )
        cache.fill([path])
        keys.append(cache.key(path))
    spus = ["a", "b", "c", "c", "d", "e", "f", "g", "h", "i"]
    names = [f"p{number}" for number in range(10)]
    return pl.DataFrame({"product_id": names, "spu_id": spus, "image_key": [*keys, None]}), cache


def test_families_join_spus_and_copies(pictured: tuple[pl.DataFrame, ImageCache]) -> None:
    products, cache = pictured
    found = families(products["spu_id"], products["image_key"], cache).to_list()
    assert found == ["a", "b", "c", "c", "b", "e", "f", "g", "h", "i"]


def test_the_name_does_not_depend_on_the_order_of_the_rows(pictured: tuple[pl.DataFrame, ImageCache]) -> None:
    products, cache = pictured
    turned = products.reverse()
    assert (
        families(turned["spu_id"], turned["image_key"], cache).to_list()[::-1]
        == families(products["spu_id"], products["image_key"], cache).to_list()
    )


def test_copies_are_never_on_two_sides(pictured: tuple[pl.DataFrame, ImageCache]) -> None:
    products, cache = pictured
    for seed in range(20):
        split = split_catalog(products, cache, SplitConfig(val=0.2, test=0.3, seed=seed))["split"].to_list()
        assert split[1] == split[4]
        assert split[2] == split[3]
    apart = [split_catalog(products, cache, SplitConfig(val=0.2, test=0.3, seed=seed, together="spu"))["split"].to_list()
             for seed in range(20)]  # fmt: skip
    assert any(split[1] != split[4] for split in apart)


def test_what_pictures_look_like_is_computed_once(
    pictured: tuple[pl.DataFrame, ImageCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    products, cache = pictured
    first = families(products["spu_id"][:6], products["image_key"][:6], cache).to_list()
    whole = families(products["spu_id"], products["image_key"], cache).to_list()
    assert whole[:6] == first
    monkeypatch.setattr(ImageCache, "pixels", lambda *_: pytest.fail("the pixels were read again"))
    assert families(products["spu_id"], products["image_key"], ImageCache(cache.folder.parent, 64)).to_list() == whole


def test_photos_that_look_the_same_are_one_query(pictured: tuple[pl.DataFrame, ImageCache]) -> None:
    """Whichever table they are in; where look-alikes are not kept together, each is one of its own."""
    products, cache = pictured
    photos = products.select(query_image_key="image_key")
    config = SplitConfig(val=0.2, test=0.3)
    first, second = with_looks([photos[:3], photos[3:]], cache, config)
    looks = [*first["query_look"], *second["query_look"]]
    assert looks[1] == looks[4] in photos["query_image_key"]
    assert looks[9] is None
    assert len(set(looks)) == 9
    (apart,) = with_looks([photos], cache, config.model_copy(update={"together": "spu"}))
    assert apart["query_look"].equals(photos["query_image_key"].alias("query_look"))
    (nothing,) = with_looks([photos[9:]], cache, config)
    assert nothing["query_look"].to_list() == [None]
