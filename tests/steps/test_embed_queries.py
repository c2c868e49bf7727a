"""Every query of the log gets its vector, found by what the log calls it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from openmoon.config import Recipe
from openmoon.errors import UserError
from openmoon.io import content_hash
from openmoon.models.encoder import ProductEncoder
from openmoon.serving.load import load_query_vectors, load_vectors
from openmoon.serving.vectors import learnt_until
from openmoon.steps.embed import embed

MOMENT = datetime(2025, 6, 1)
ASKED = [  # action, product, text, photo, day of June 2025
    ("click", "a", "red boot", None, 1),
    ("impression", "a", "Blue  Boot", None, 2),
    ("click", "b", "red boot", None, 3),
    ("click", "b", None, "good.jpg", 4),
    ("click", "a", "red boot", "good.jpg", 5),
    ("cart", "a", "large mug", "absent.jpg", 6),
    ("cart", "a", "small mug", "broken.jpg", 7),
    ("click", "a", None, "absent.jpg", 8),
    ("click", "a", None, "broken.jpg", 9),
    ("click", "a", None, None, 10),
    ("click", "unknown", "lamp", None, 11),
]
QUERIES = [
    ("red boot", None), ("Blue  Boot", None), (None, "good.jpg"), ("red boot", "good.jpg"), ("large mug", "absent.jpg"),
    ("small mug", "broken.jpg"),
]  # fmt: skip
PROBLEMS = [("a", None, None), ("b", None, None), (None, None, "absent.jpg"), (None, None, "absent.jpg"),
            (None, None, "broken.jpg"), (None, "large mug", "absent.jpg"), (None, "small mug", "broken.jpg")]  # fmt: skip


def log(folder: Path, rows: list[tuple[str, str, str | None, str | None, int]]) -> None:
    schema = {"action": pl.String, "product_id": pl.String, "query_text": pl.String, "query_image": pl.String, "day": pl.Int64}
    events = pl.DataFrame(rows, schema, orient="row")
    time = pl.lit(MOMENT) + pl.duration(days=pl.col("day"))
    events.select(pl.exclude("day"), timestamp=time, user_id=pl.lit("u")).write_parquet(folder / "events.parquet")


@pytest.fixture
def recipe(tmp_path: Path, tiny_encoder: ProductEncoder) -> Recipe:
    """Two products whose own pictures are missing or broken, and the log; the encoder is beside them."""
    (tmp_path / "broken.jpg").write_text("I am no picture")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "good.jpg")
    catalog = pl.DataFrame({"product_id": ["a", "b"], "title": ["red boot", "mug"], "image": ["absent.jpg", "broken.jpg"]})
    catalog.write_parquet(tmp_path / "catalog.parquet")
    log(tmp_path, ASKED)
    tiny_encoder.save_pretrained(tmp_path / "encoder", MOMENT)
    return Recipe.model_validate({
        "name": "tiny", "workdir": tmp_path / "run", "embed": {"queries": True, "batch_size": 2},
        "data": {"root": tmp_path, "events": "events.parquet", "until": "2025-06-03"},
    })  # fmt: skip


def table(recipe: Recipe) -> Path:
    return recipe.workdir / "query_vectors.parquet"


def problems(recipe: Recipe) -> pl.DataFrame:
    return pl.read_parquet(recipe.workdir / "embed_rejected.parquet")


def places(recipe: Recipe) -> list[tuple[str | None, str | None, str | None]]:
    keys = ["product_id", "query_text", "query_image"]
    return problems(recipe).select(keys).sort(keys, nulls_last=[True, False, False]).rows()


def test_every_query_of_the_log_is_there_once(recipe: Recipe, tmp_path: Path, tiny_encoder: ProductEncoder) -> None:
    assert embed(recipe, tmp_path / "encoder").rows == 2, "of products"
    queries, matrix, encoder = load_query_vectors(table(recipe))
    assert queries.rows() == QUERIES, "in order of first use, those after data.until too"
    photo = tmp_path / "good.jpg"
    expected = tiny_encoder.eval().encode(
        ["red boot", "blue boot", photo, {"text": "red boot", "image": photo}, "large mug", "small mug"]
    )
    np.testing.assert_allclose(matrix, expected, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-5)
    hashes = pl.read_parquet(table(recipe))["content_hash"]
    assert hashes[1] == content_hash("blue boot", b""), "as stage 2 learns it; the tiny tokenizer would not tell"
    assert encoder == load_vectors(recipe.workdir / "vectors.parquet").encoder == f"tiny@{tiny_encoder.fingerprint()}"
    assert learnt_until(table(recipe)) == learnt_until(recipe.workdir / "vectors.parquet") == MOMENT
    assert pl.read_parquet_schema(table(recipe)) == {
        "query_text": pl.String, "query_image": pl.String, "vector": pl.Array(pl.Float32, 8), "encoder": pl.String,
        "content_hash": pl.String,
    }  # fmt: skip


def test_what_cannot_be_used_is_listed_beside_the_products(recipe: Recipe, tmp_path: Path) -> None:
    embed(recipe, tmp_path / "encoder")
    assert places(recipe) == PROBLEMS
    reasons = problems(recipe).filter(pl.col("query_image") == "absent.jpg", pl.col("query_text").is_null())["reason"]
    assert reasons[0].startswith("absent.jpg: cannot be read")
    assert reasons[1] == "neither a text nor a readable picture"
    assert problems(recipe).columns == ["product_id", "query_text", "query_image", "reason"]


def test_only_what_changed_is_computed(recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    embed(recipe, tmp_path / "encoder")
    first = pl.read_parquet(table(recipe))
    capsys.readouterr()
    embed(recipe, tmp_path / "encoder")
    assert "0 queries embedded, 6 unchanged, 0 gone" in capsys.readouterr().err
    assert places(recipe) == PROBLEMS
    Image.new("RGB", (40, 40), "blue").save(tmp_path / "good.jpg")
    log(tmp_path, [*ASKED[1:], ("impression", "b", "large boot", None, 12)])
    embed(recipe, tmp_path / "encoder")
    assert "3 queries embedded, 4 unchanged, 0 gone" in capsys.readouterr().err, "two with the photo, and a new one"
    both = first.join(pl.read_parquet(table(recipe)), on=["query_text", "query_image"], nulls_equal=True)
    same = both.select(pl.col("vector") == pl.col("vector_right")).to_series()
    assert both.filter(~same)["query_image"].to_list() == ["good.jpg", "good.jpg"]
    assert len(both) == 6


def test_products_alone_leave_what_is_known_of_the_queries(recipe: Recipe, tmp_path: Path) -> None:
    embed(recipe, tmp_path / "encoder")
    Image.new("RGB", (40, 40), "blue").save(tmp_path / "absent.jpg")
    alone = recipe.model_copy(update={"embed": recipe.embed.model_copy(update={"queries": False})})
    before = table(recipe).read_bytes()
    embed(alone, tmp_path / "encoder")
    assert table(recipe).read_bytes() == before
    assert places(recipe) == PROBLEMS[1:], "the product's picture was put right"
    embed(recipe, tmp_path / "encoder")
    assert places(recipe) == [PROBLEMS[1], PROBLEMS[4], PROBLEMS[6]]


def test_problems_of_an_older_table_are_kept(recipe: Recipe, tmp_path: Path) -> None:
    embed(recipe, tmp_path / "encoder")
    problems(recipe).filter(product_id="b").select("product_id", "reason").write_parquet(
        recipe.workdir / "embed_rejected.parquet"
    )
    embed(recipe, tmp_path / "encoder")
    assert places(recipe) == [place for place in PROBLEMS if place != (None, "small mug", "broken.jpg")]


def test_a_log_without_columns_for_queries_makes_an_empty_table(recipe: Recipe, tmp_path: Path) -> None:
    events = pl.read_parquet(tmp_path / "events.parquet")
    events.drop("query_text", "query_image").write_parquet(tmp_path / "events.parquet")
    embed(recipe, tmp_path / "encoder")
    queries, matrix, encoder = load_query_vectors(table(recipe))
    assert (len(queries), matrix.shape, encoder) == (0, (0, 8), None)
    assert learnt_until(table(recipe)) == MOMENT


def test_a_missing_log_is_an_error(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "events.parquet").unlink()
    with pytest.raises(UserError, match=r"events\.parquet: no such file; set data\.root and data\.events"):
        embed(recipe, tmp_path / "encoder")
