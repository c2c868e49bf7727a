"""Numbers of names: none, unknown, and those that training met often enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from openmoon.ctr.vocabulary import KNOWN, NONE, UNKNOWN, Vocabulary, query_names
from openmoon.ctr.vocabulary import fit_vocabulary as fit
from tests.ctr.tables import catalog, config, entities, shop_log

SHOWN = pl.DataFrame({
    "user_id": ["a", "a", "b", "a", "c", "c"], "product_id": ["p0", "p0", "p1", "p5", "p5", "p5"],
    "query_text": ["x", "x", None, None, "y", None], "query_image": [None, None, "f.jpg", "f.jpg", "f.jpg", None],
})  # fmt: skip
PRODUCTS = catalog(7)


def fit_vocabulary(shown: pl.DataFrame, products: pl.DataFrame, min_count: int) -> Vocabulary:
    """From impressions; each is a count of one, so that names stand there more than once."""
    names = {"user": shown["user_id"], "product": shown["product_id"], "query": query_names(shown)}
    counts = {field: pl.DataFrame({"name": found.drop_nulls()}).with_columns(count=1) for field, found in names.items()}
    return fit(counts, products, min_count)


def test_names_below_the_minimum_are_unknown_and_null_is_none() -> None:
    found = fit_vocabulary(SHOWN, PRODUCTS, 2)
    assert {field: found.names[field].to_list() for field in ("user", "product", "query")} == {
        "user": ["a", "c"], "product": ["p5", "p0"], "query": ["f.jpg", "x"]}  # most often first, then by name  # fmt: skip
    numbers = found.numbers("user", pl.Series(["b", "c", None, "a", "new"]))
    assert numbers.tolist() == [UNKNOWN, KNOWN + 1, NONE, KNOWN, UNKNOWN]
    assert fit_vocabulary(SHOWN, PRODUCTS, 1).size("user") == KNOWN + 3


def test_categories_and_shops_are_those_of_known_products() -> None:
    found = fit_vocabulary(SHOWN, PRODUCTS, 2)
    assert found.names["category"].to_list() == ["c0", "c1"]
    assert found.names["shop"].to_list() == ["s0", "s2"]


def test_products_and_queries_have_numbers_of_one_range() -> None:
    vocabulary = fit_vocabulary(SHOWN, PRODUCTS, 2)
    everything = entities(PRODUCTS, SHOWN)
    found, sizes = vocabulary.of_entities(everything), vocabulary.sizes()
    known = {"p0": KNOWN + 1, "p5": KNOWN}
    ids = [known.get(name, UNKNOWN) for name in PRODUCTS["product_id"]]
    products = vocabulary.size("product")
    queries = [products + KNOWN + 1, products + KNOWN, products + UNKNOWN]  # x, f.jpg, y
    assert found["id"].tolist() == [NONE, *ids, *queries]
    assert found["category"].tolist() == [NONE, 2, 3, 1, 1, 2, 3, NONE, NONE, NONE, NONE]
    assert found["price"][7] == NONE
    assert found["price"][1] < found["price"][6]
    for field, numbers in found.items():
        assert numbers.max() < sizes[field]
        assert len(numbers) == len(everything)


def test_prices_are_cut_into_tenths_of_the_products() -> None:
    log = shop_log(products=24)
    products = catalog(400).with_columns(price=pl.int_range(400).cast(pl.Float64))
    nothing = [pl.lit(None, pl.String).alias(name) for name in ("query_text", "query_image")]
    shown = products.select("product_id", *nothing, user_id=pl.lit("u"))
    numbers = fit_vocabulary(shown, products, 1).of_entities(entities(products, shown))["price"][1:]
    assert np.bincount(numbers).tolist() == [0, 0, *[40] * 10]
    assert log.vocabulary.size("price") <= KNOWN + 10


def test_saved_and_loaded_it_gives_the_same_numbers(tmp_path: Path) -> None:
    log = shop_log(config(min_count=3))
    log.vocabulary.save(tmp_path / "v.parquet")
    again = Vocabulary.load(tmp_path / "v.parquet")
    assert again.sizes() == log.vocabulary.sizes()
    for field, numbers in log.vocabulary.of_entities(log.entities).items():
        assert again.of_entities(log.entities)[field].tolist() == numbers.tolist()


def test_a_log_without_queries_or_prices_has_a_vocabulary(tmp_path: Path) -> None:
    bare = PRODUCTS.with_columns(pl.lit(None, pl.Float64).alias("price"), pl.lit(None, pl.String).alias("category"))
    shown = SHOWN.with_columns(pl.lit(None, pl.String).alias(name) for name in ("query_text", "query_image"))
    found = fit_vocabulary(shown, bare, 1)
    found.save(tmp_path / "v.parquet")
    for vocabulary in (found, Vocabulary.load(tmp_path / "v.parquet")):
        numbers = vocabulary.of_entities(entities(bare, shown))
        assert not numbers["price"].any()
        assert not numbers["category"].any()
        assert vocabulary.size("query") == KNOWN


def test_only_training_impressions_are_met() -> None:
    log = shop_log(config(min_count=1, split={"val": 0.4, "test": 0.4, "gap": 0}), requests=20)
    train = log.candidates(log.requests("train"))
    products = log.entities.products["product_id"].to_list()
    met = {products[row - 1] for row in log.item[train]}
    assert set(log.vocabulary.names["product"]) == met < {products[row - 1] for row in log.item}
    users = set(log.shoppers.gather(pl.Series(log.shopper[log.requests("train")] - 1)))
    assert set(log.vocabulary.names["user"]) == users < set(log.shoppers)
