"""What `embed` says about its input stays true when it is called again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from openmoon.config import EncoderConfig, Recipe
from openmoon.errors import UserError
from openmoon.learnt import NO_BEHAVIOUR
from openmoon.models.encoder import ProductEncoder
from openmoon.serving.vectors import learnt_until
from openmoon.steps.embed import embed
from openmoon.steps.search import search_products


def problems(recipe: Recipe) -> list[tuple[str, str]]:
    table = pl.read_parquet(recipe.workdir / "embed_rejected.parquet")
    return table.filter(pl.col("product_id").is_not_null()).select("product_id", "reason").sort("product_id").rows()


def test_embed_and_search_need_the_catalogue_alone_and_keep_reporting_undecodable_pictures(
    tmp_path: Path, tiny_encoder: ProductEncoder, tiny_config: EncoderConfig
) -> None:
    for name in ("broken", "repaired", "gone"):
        (tmp_path / f"{name}.jpg").write_text("I am no picture")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "good.jpg")
    names = ["absent", "broken", "gone", "good", "repaired"]
    catalog = pl.DataFrame({"product_id": names, "title": "red boot", "image": [f"{name}.jpg" for name in names]})
    catalog.write_parquet(tmp_path / "catalog.parquet")
    recipe = Recipe.model_validate({
        "name": "tiny", "workdir": tmp_path / "run", "encoder": tiny_config.model_dump(),
        "data": {"root": tmp_path, "events": "never-read.parquet"},
    })  # fmt: skip
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    assert embed(recipe, tmp_path / "encoder").rows == 5
    first = problems(recipe)
    assert [product for product, _ in first] == ["absent", "broken", "gone", "repaired"]
    assert embed(recipe, tmp_path / "encoder").added == 0
    assert problems(recipe) == first
    Image.new("RGB", (40, 40), "blue").save(tmp_path / "repaired.jpg")
    catalog.filter(pl.col("product_id") != "gone").write_parquet(tmp_path / "catalog.parquet")
    embed(recipe, tmp_path / "encoder")
    assert problems(recipe) == first[:2]
    assert len(search_products(recipe, "red", None, 3, encoder_folder=tmp_path / "encoder")) == 3
    before = (recipe.workdir / "vectors.parquet").read_bytes()
    torch.nn.init.constant_(tiny_encoder.fusion.head.bias, torch.nan)
    tiny_encoder.save_pretrained(tmp_path / "broken")
    with pytest.raises(UserError, match="its weights are broken"):
        embed(recipe, tmp_path / "broken")
    assert (recipe.workdir / "vectors.parquet").read_bytes() == before, "what was good stays"


@pytest.mark.parametrize("moment", [None, NO_BEHAVIOUR, datetime(2025, 6, 1)])
def test_vectors_carry_what_their_encoder_has_learnt_from(
    tmp_path: Path, tiny_encoder: ProductEncoder, moment: datetime | None
) -> None:
    pl.DataFrame({"product_id": ["a"], "title": ["red boot"]}).write_parquet(tmp_path / "catalog.parquet")
    recipe = Recipe.model_validate({"name": "tiny", "workdir": tmp_path, "data": {"root": tmp_path}})
    tiny_encoder.save_pretrained(tmp_path / "encoder", moment)
    embed(recipe, tmp_path / "encoder")
    assert learnt_until(tmp_path / "vectors.parquet") == moment


def test_another_precision_makes_the_vectors_again(tmp_path: Path, tiny_encoder: ProductEncoder) -> None:
    pl.DataFrame({"product_id": ["a"], "title": ["red boot"]}).write_parquet(tmp_path / "catalog.parquet")
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    added = [
        embed(Recipe.model_validate({
            "name": "tiny", "workdir": tmp_path, "data": {"root": tmp_path}, "embed": {"precision": precision},
        }), tmp_path / "encoder").added
        for precision in ("float32", "bfloat16", "bfloat16", "float32")
    ]  # fmt: skip
    assert added == [1, 1, 0, 1]


@pytest.mark.parametrize("view", ["title", "image", "title+image"])
def test_vectors_are_of_the_view_that_the_recipe_names(
    tmp_path: Path, tiny_encoder: ProductEncoder, pictures: list[Path], view: str
) -> None:
    product = {"product_id": ["a"], "title": ["red boot"], "image": [pictures[0].name], "category": ["shoes"]}
    pl.DataFrame(product).write_parquet(tmp_path / "catalog.parquet")
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    recipe = Recipe.model_validate({"name": "tiny", "workdir": tmp_path, "data": {"root": tmp_path}, "embed": {"view": view}})
    embed(recipe, tmp_path / "encoder")
    found = np.stack(pl.read_parquet(tmp_path / "vectors.parquet")["vector"].to_numpy())
    parts = {"title": {"text": "red boot"}, "image": {"image": pictures[0]}}
    shown = {key: value for name in view.split("+") for key, value in parts[name].items()}
    np.testing.assert_allclose(found, tiny_encoder.eval().encode([shown]), atol=1e-4)


def test_a_list_of_problems_that_is_not_ours_is_told_of(tmp_path: Path, tiny_encoder: ProductEncoder) -> None:
    pl.DataFrame({"product_id": ["a"], "title": ["red boot"]}).write_parquet(tmp_path / "catalog.parquet")
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    recipe = Recipe.model_validate({"name": "tiny", "workdir": tmp_path, "data": {"root": tmp_path}})
    mine = pl.DataFrame({"reason": ["a"], "mine": ["b"]})
    for write in (lambda path: path.write_text("no"), mine.write_parquet):
        write(tmp_path / "embed_rejected.parquet")
        with pytest.raises(UserError, match=r"embed_rejected.parquet: cannot be read, or is not the list"):
            embed(recipe, tmp_path / "encoder")
    assert pl.read_parquet(tmp_path / "embed_rejected.parquet").equals(mine)
    assert not (tmp_path / "vectors.parquet").exists()
