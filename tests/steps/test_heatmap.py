"""Which pictures `openmoon heatmap` takes, and what it says to a mistake."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from openmoon.config import EncoderConfig, Recipe
from openmoon.errors import UserError
from openmoon.models.encoder import ProductEncoder
from openmoon.steps.heatmap import draw_heatmap


@pytest.fixture
def recipe(tmp_path: Path, tiny_encoder: ProductEncoder, tiny_config: EncoderConfig, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Three products with a picture, one without; an encoder beside them; the test runs in that folder."""
    for name, colour in (("boot-1", "red"), ("boot-2", "blue"), ("mug-1", "green")):
        picture = Image.new("RGB", (60, 40), "white")
        picture.paste(colour, (20, 10, 40, 30))
        picture.save(tmp_path / f"{name}.png")
    names = ["boot-1", "boot-2", "mug-1", "bare"]
    images = [f"{name}.png" for name in names[:3]]
    catalog = pl.DataFrame({"product_id": names, "title": ["red boot", "blue boot", None, "mug"], "image": [*images, None]})
    catalog.write_parquet(tmp_path / "catalog.parquet")
    (tmp_path / "text.jpg").write_text("I am no picture")
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)
    return Recipe.model_validate({"name": "tiny", "workdir": tmp_path / "run", "data": {"root": tmp_path}})


def labels(recipe: Recipe, **asked: object) -> list[str]:
    return [one.label for one in draw_heatmap(recipe, Path("heat.png"), encoder_folder=Path("encoder"), **asked)]  # type: ignore[arg-type]


def test_pictures_come_from_files_and_from_the_catalogue(recipe: Recipe) -> None:
    assert labels(recipe, image=Path("boot-1.png"), text=" red  boot ") == ["red boot", "red", "boot"]
    assert labels(recipe, product="boot-1", match="boot-2") == ["red boot", "blue boot"]
    assert labels(recipe, product="boot-1", match="mug-1.png") == ["red boot", "mug-1.png"]
    assert labels(recipe, image=Path("boot-2.png"), match="mug-1") == ["boot-2.png", "mug-1"]  # no title: its id


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"text": "boot"}, "give --image FILE or --product ID"),
        ({"image": Path("boot-1.png"), "product": "boot-1", "text": "boot"}, "one of them"),
        ({"product": "boot-1"}, "give --text, or --match"),
        ({"product": "boot-1", "text": "  "}, "give --text, or --match"),
        ({"product": "boot-1", "text": "boot", "match": "boot-2"}, "exclude each other"),
        ({"product": "boot1", "text": "boot"}, r"'boot1' is not a product of .*catalog.parquet. Did you mean 'boot-1'\?"),
        ({"product": "boot-1", "match": "no.jpg"}, r"--match 'no.jpg' is neither a file nor a product of .*catalog.parquet"),
        ({"product": "bare", "text": "mug"}, "'bare' has no picture in the catalogue"),
        ({"image": Path("no.jpg"), "text": "boot"}, "no.jpg: cannot be read: No such file or directory"),
        ({"image": Path("text.jpg"), "text": "boot"}, "text.jpg: not a picture"),
        ({"product": "boot-1", "match": "text.jpg"}, "text.jpg: not a picture"),
    ],
)
def test_mistakes(recipe: Recipe, asked: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        labels(recipe, **asked)
    assert not Path("heat.png").exists()


def test_a_picture_that_is_asked_about_is_not_overwritten(recipe: Recipe) -> None:
    before = Path("boot-1.png").read_bytes()
    for asked in ({"image": Path("boot-2.png"), "match": "boot-1"}, {"product": "boot-1", "text": "boot"}):
        with pytest.raises(UserError, match=r"--out boot-1.png: is read, and would be overwritten"):
            draw_heatmap(recipe, Path("boot-1.png"), encoder_folder=Path("encoder"), **asked)  # type: ignore[arg-type]
    assert Path("boot-1.png").read_bytes() == before
    with pytest.raises(UserError, match=r"--out catalog.parquet: is written as a PNG"):
        draw_heatmap(recipe, Path("catalog.parquet"), product="boot-1", text="boot", encoder_folder=Path("encoder"))


def test_without_an_encoder_it_says_what_to_run(recipe: Recipe) -> None:
    with pytest.raises(UserError, match="no encoder has been trained here"):
        draw_heatmap(recipe, Path("heat.png"), product="boot-1", text="boot")
