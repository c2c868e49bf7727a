"""`openmoon heatmap` on a finished run: the last stage's encoder, a table, a picture; one line for a mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from tests.e2e.conftest import Cli


def rows(output: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│")]


def test_a_text_over_a_photo(recipe: Path, shop: Path, finished: object, cli: Cli, tmp_path: Path) -> None:
    photo = min((shop / "photos").iterdir())
    done = cli("heatmap", recipe, "--image", photo, "--text", "red boot with dots", "--out", tmp_path / "heat.png")
    assert [label for label, *_ in rows(done.stdout)] == ["red boot with dots", "red", "boot", "with", "dots"]
    assert np.asarray(Image.open(tmp_path / "heat.png")).std() > 20


def test_two_products(recipe: Path, shop: Path, finished: object, cli: Cli, tmp_path: Path) -> None:
    catalog = pl.read_parquet(shop / "catalog.parquet").drop_nulls(["title", "image"])
    first, second = catalog["product_id"][:2]
    done = cli("heatmap", recipe, "--product", first, "--match", second, "--out", tmp_path / "heat.png")
    (_, similarity, _), (_, again, _) = rows(done.stdout)
    assert similarity == again  # one match, seen from both sides
    assert Image.open(tmp_path / "heat.png").size[0] > 1200
    failed = cli("heatmap", recipe, "--product", f"{first}0", "--text", "boot", ok=False)
    assert failed.stderr.startswith(f"error: heatmap: --product '{first}0' is not a product")
