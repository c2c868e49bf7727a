"""From a log whose answers are known: the pairs and negatives of a recipe, and the queries that it is measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from openmoon.builders.held_out import held_out_items, held_out_queries
from openmoon.builders.negatives import build_negatives
from openmoon.builders.pair_table import pair_table
from openmoon.builders.pairs import pair_scores, training_pairs
from openmoon.builders.workspace import open_workspace
from openmoon.config import Recipe
from openmoon.training.distributed import ALONE
from openmoon.training.negatives import LEFT, ClassPool, FromLog

PRODUCTS = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty products of two categories in turn. Product n is bought for a query of its own, for which n + 2 is clicked, n + 4 and
    n + 5 are shown."""
    names = [f"p{n}" for n in range(PRODUCTS)]
    pl.DataFrame({
        "product_id": names, "title": [f"boot {n}" for n in range(PRODUCTS)], "category": ["a", "b"] * (PRODUCTS // 2),
    }).write_parquet(tmp_path / "catalog.parquet")  # fmt: skip
    rows = [
        {"action": action, "product_id": names[(n + step) % PRODUCTS], "query_text": f"query {n}"}
        for n in range(PRODUCTS)
        for action, step in (("purchase", 0), ("click", 2), ("impression", 4), ("impression", 5))
    ]
    events = pl.DataFrame(rows).with_columns(user_id=pl.lit("u"), timestamp=pl.lit("2025-01-01"))
    events.write_parquet(tmp_path / "events.parquet")
    return tmp_path


Section = Mapping[str, Any]


def recipe(folder: Path, data: Section | None = None, evaluate: Section | None = None, **posttrain: Any) -> Recipe:
    split = {"val": 0.2, "test": 0.2}
    return Recipe.model_validate({
        "name": "t", "workdir": folder / "run", "posttrain": {"actions": ["cart", "purchase"], **posttrain},
        "data": {"root": folder, "events": "events.parquet", "split": split, **(data or {})}, "evaluate": evaluate or {},
    })  # fmt: skip


def test_negatives_are_what_the_log_and_the_recipe_say(folder: Path) -> None:
    negatives = {"left": 2, "pool": {"count": 3, "same": 0.25}, "mined": {"count": 2, "depth": 7, "every": 9, "margin": 0.2}}
    settings = recipe(folder, negatives=negatives, triplet={"margin": 0.3, "weight": 2.0})
    work = open_workspace(settings)
    found = training_pairs(work, None)
    table = pair_table(found.pairs, found.chosen)
    shown = []

    def vectors(parts: object, view: str, rows: np.ndarray) -> np.ndarray:
        shown.append(view)
        return np.eye(PRODUCTS, dtype=np.float32)[: len(rows)]

    featurize: Any = SimpleNamespace(encoder=SimpleNamespace(dims=[4, 8], eval=lambda: None), vectors=vectors)
    assert settings.posttrain is not None
    hard, mined = build_negatives(settings.posttrain, work, found, table, featurize, ALONE)
    left, pool = hard.sources[LEFT], hard.sources["class pool"]
    assert list(hard.sources) == [LEFT, "class pool", "mined"]
    assert isinstance(left, FromLog)
    assert isinstance(pool, ClassPool)
    ids = work.items["product_id"].to_list()
    train = {ids[row] for row in work.rows("train")}
    for row, name in enumerate(found.pairs["product_id"]):
        clicked, passed = (f"p{(int(name[1:]) + step) % PRODUCTS}" for step in (2, 4))
        assert [ids[item] for item in left.beside.of(np.array([row]))[0]] == [clicked] * (clicked in train)
        assert [ids[item] for item in pool.passed.of(np.array([row]))[0]] == [passed] * (passed in train), "of its category alone"
    assert (left.count, pool.count, pool.same) == (2, 3, 0.25)
    assert {ids[row] for row in pool.products} == train
    assert mined is not None
    assert (mined.table.shape, mined.count, mined.every) == ((len(found.pairs), 7), 2, 9)
    mined.before_step(0)
    assert shown == ["text+image", "rich+image"]
    assert hard.triplet is not None
    assert (hard.triplet.margin, hard.triplet.weight, hard.triplet.dims) == (0.3, 2.0, (4, 8))
    plain = recipe(folder).posttrain
    assert plain is not None
    bare, none = build_negatives(plain, work, found, table, featurize, ALONE)
    assert not bare.sources
    assert bare.triplet is None
    assert none is None


def test_what_the_log_answers_a_query_with_is_no_negative_of_it(folder: Path) -> None:
    """The words alone found one product, the words with a photo two others: without it one was left, one passed by."""
    sides = open_workspace(recipe(folder)).items.filter(split="train", category="a")
    own, first, second, left, passed = sides["product_id"][:5]
    Image.effect_noise((64, 64), 90).convert("RGB").save(folder / "photo.png")
    met = [("purchase", own, None), ("purchase", first, "photo.png"), ("purchase", second, "photo.png"), ("click", first, None),
           ("impression", second, None), ("click", left, None), ("impression", passed, None)]  # fmt: skip
    more = pl.DataFrame(met, {"action": pl.String, "product_id": pl.String, "query_image": pl.String}, orient="row")
    more = more.with_columns(query_text=pl.lit("asked in two ways"), user_id=pl.lit("u"), timestamp=pl.lit("2025-01-02"))
    path = folder / "events.parquet"
    pl.concat([pl.read_parquet(path), more], how="diagonal").write_parquet(path)
    settings = recipe(folder, negatives={"left": 1, "pool": {}, "mined": {"depth": PRODUCTS}})
    work = open_workspace(settings)
    found = training_pairs(work, None)
    table = pair_table(found.pairs, found.chosen)
    ids = work.items["product_id"].to_list()

    def vectors(parts: object, view: str, rows: np.ndarray) -> np.ndarray:
        """Queries, their own product, and all else so far below it that it can be mined."""
        own_score = np.ones(len(rows)) if view == "text+image" else np.where(rows == ids.index(own), 1, 0.6)
        return np.stack([own_score, np.sqrt(1 - own_score**2)], 1).astype(np.float32)

    featurize: Any = SimpleNamespace(encoder=SimpleNamespace(dims=[2], eval=lambda: None), vectors=vectors)
    assert settings.posttrain is not None
    hard, mined = build_negatives(settings.posttrain, work, found, table, featurize, ALONE)
    clicked, pool = hard.sources[LEFT], hard.sources["class pool"]
    assert isinstance(clicked, FromLog)
    assert isinstance(pool, ClassPool)
    assert mined is not None
    mined.before_step(0)
    at = found.pairs.with_row_index().filter(query_text="asked in two ways", product_id=own)["index"].item()
    rows = np.array([at])
    assert [ids[row] for row in clicked.beside.of(rows)[0]] == [left]
    assert [ids[row] for row in pool.passed.of(rows)[0]] == [passed]
    hardest = {ids[row] for row in mined.table[at].tolist() if row >= 0}
    assert hardest == set(sides["product_id"]) - {own, first, second}


def test_a_photo_sent_in_twice_is_one_query(folder: Path) -> None:
    """Under each name its product was bought, the next one clicked under one name and shown under the other."""
    names, picture = ("first.png", "second.png"), Image.effect_noise((64, 64), 90).convert("RGB")
    for name in names:
        picture.save(folder / name)
    own, clicked = open_workspace(recipe(folder)).items.filter(split="train")["product_id"][:2]
    met = [("purchase", own, names[0]), ("purchase", own, names[1]),
           ("click", clicked, names[0]), ("impression", clicked, names[1])]  # fmt: skip
    events = pl.DataFrame(met, {"action": pl.String, "product_id": pl.String, "query_image": pl.String}, orient="row")
    events.with_columns(user_id=pl.lit("u"), timestamp=pl.lit("2025-01-02")).write_parquet(folder / "photos.parquet")
    both = pl.concat([pl.read_parquet(folder / name) for name in ("events.parquet", "photos.parquet")], how="diagonal")
    both.write_parquet(folder / "events.parquet")
    work = open_workspace(recipe(folder))
    asked = pl.col("query_image_key").is_not_null()
    assert work.pairs.filter(asked).select("product_id", "count").rows() == [(own, 2)]
    rows = {name: row for row, name in enumerate(work.items["product_id"])}
    met_with = work.met_products().filter(asked).select("item", "action")
    assert met_with.rows() == [(rows[own], "purchase"), (rows[clicked], "click")]


def test_queries_that_a_training_may_have_seen_are_not_asked(folder: Path) -> None:
    """Neither by this recipe, which learns from purchases, nor by one that learns from clicks too; validation is a training's."""
    split = dict(open_workspace(recipe(folder)).items.select("product_id", "split").iter_rows())
    test, train, val = ([product for product, side in split.items() if side == wanted] for wanted in ("test", "train", "val"))
    bought, looked_at = f"Query  {train[0][1:]}", "what was clicked alone"
    events = pl.read_parquet(folder / "events.parquet")
    clicked = events[:1].with_columns(action=pl.lit("click"), product_id=pl.lit(train[1]), query_text=pl.lit(looked_at))
    pl.concat([events, clicked]).write_parquet(folder / "events.parquet")
    rows = [("words of its own", test[0]), (bought, test[1]), (looked_at, test[1]), (f"query {val[0][1:]}", test[2]),
            ("for another", train[1])]  # fmt: skip
    labels = pl.DataFrame(rows, {"query_text": pl.String, "product_id": pl.String}, orient="row")
    labels.with_columns(query_image=pl.lit(None, pl.String)).write_parquet(folder / "labels.parquet")
    work = open_workspace(recipe(folder, {"queries": "labels.parquet"}), labels=True)
    assert held_out_queries(work).select("query_text", "product_id").rows() == [("words of its own", test[0])]


def test_the_pool_is_what_is_held_out_or_everything(folder: Path) -> None:
    pools = {pool: len(held_out_items(open_workspace(recipe(folder, evaluate={"pool": pool})))) for pool in ("test", "all")}
    assert pools == {"test": PRODUCTS // 5, "all": PRODUCTS}


def test_rules_have_their_own_numbers(folder: Path) -> None:
    def left(**given: Any) -> pl.DataFrame:
        return training_pairs(open_workspace(recipe(folder, **given)), None).pairs

    assert len(left()) > 10
    assert len(left(pairs={"per_user": 3})) == 3
    assert len(left(pairs={"per_user": 3, "per_item": 1})) == 3
    by_item = left(actions=["click", "purchase"], pairs={"per_item": 1, "per_user": 1000})
    assert by_item["product_id"].n_unique() == len(by_item) > 3


def test_the_score_of_a_pair_is_the_cosine_of_its_own_query_and_product(folder: Path) -> None:
    work = open_workspace(recipe(folder))

    def encode(inputs: Sequence[Mapping[str, Any]]) -> np.ndarray:
        numbers = [int(one["text"].removeprefix("query ").removeprefix("boot ").split(".")[0]) for one in inputs]
        angle = np.array(numbers) / PRODUCTS
        return np.stack([np.cos(angle), np.sin(angle)], 1)

    np.testing.assert_allclose(pair_scores(work, encode, training_pairs(work, None).pairs), 1, atol=1e-6)
