"""`openmoon heatmap` on a finished run, and what it says to a mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.e2e.conftest import Cli


@pytest.fixture(scope="module")
def with_picture(shop: Path) -> list[str]:
    return pl.read_parquet(shop / "catalog.parquet").drop_nulls("image")["product_id"].to_list()


def test_a_text_over_a_photo(recipe: Path, shop: Path, finished: object, cli: Cli, tmp_path: Path) -> None:
    photo = sorted((shop / "photos").iterdir())[0]
    done = cli("heatmap", recipe, "--image", photo, "--text", "red  boot with dots", "--out", tmp_path / "heat.png")
    rows = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == ["red boot with dots", "red", "boot", "with", "dots"]
    assert np.asarray(Image.open(tmp_path / "heat.png")).std() > 20


@pytest.mark.parametrize("kind", ["file", "product"])
def test_two_pictures(
    recipe: Path, shop: Path, finished: object, cli: Cli, tmp_path: Path, with_picture: list[str], kind: str
) -> None:
    first, second = with_picture[:2]
    match = second if kind == "product" else shop / "images" / f"{second}.jpg"
    done = cli("heatmap", recipe, "--product", first, "--match", match, "--out", tmp_path / "heat.png")
    similarities = [line.split("│")[2].strip() for line in done.stdout.splitlines() if line.startswith("│")]
    assert len(similarities) == 2
    assert similarities[0] == similarities[1]  # one match, seen from both sides
    assert Image.open(tmp_path / "heat.png").size[0] > 1200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--text", "boot"], "which picture? give --image FILE or --product ID"),
        (["--image", "a.jpg", "--product", "P000001", "--text", "boot"], "one of them"),
        (["--product", "P000001"], "give --text, or --match"),
        (["--product", "P000001", "--text", "  "], "give --text, or --match"),
        (["--product", "P000001", "--text", "boot", "--match", "P000002"], "exclude each other"),
        (["--product", "P0000011", "--text", "boot"], "'P0000011' is not a product"),
        (["--product", "P000001", "--match", "P0000011"], "Did you mean 'P000011'?"),
        (["--product", "P000001", "--match", "photo.jpg"], "'photo.jpg' is neither a file nor a product"),
        (["--image", "nothing.jpg", "--text", "boot"], "nothing.jpg: cannot be read: No such file or directory"),
        (["--image", __file__, "--text", "boot"], "test_heatmap.py: not a picture"),
    ],
)
def test_mistakes(recipe: Path, finished: object, cli: Cli, options: list[str], message: str, tmp_path: Path) -> None:
    failed = cli("heatmap", recipe, *options, "--out", tmp_path / "heat.png", ok=False)
    assert message in failed.stderr
    assert not (tmp_path / "heat.png").exists()


def test_a_product_without_picture(recipe: Path, own_shop: Path, finished: object, cli: Cli) -> None:
    catalog = pl.read_parquet(own_shop / "catalog.parquet")
    first = catalog["product_id"][0]
    bare = pl.when(pl.col("product_id") != first).then("image")
    catalog.with_columns(image=bare).write_parquet(own_shop / "catalog.parquet")
    failed = cli("heatmap", recipe, f"data.root={own_shop}", "--product", first, "--text", "boot", ok=False)
    assert f"{first!r} has no picture" in failed.stderr
