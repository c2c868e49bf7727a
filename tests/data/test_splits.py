"""No SPU and no query is ever on two sides, and the same seed always gives the same sides."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmoon.config import SplitConfig
from openmoon.data.splits import normalise_query, split_pairs, split_products, without_seen
from openmoon.errors import UserError

TEXTS = st.sampled_from([None, "red boots", "Red  Boots", "blue hat", "hat", "ｈａｔ", "scarf"])
PHOTOS = st.sampled_from([None, "k1", "k2", "k3", "k4"])
LABELS = st.sampled_from(["train", "train", "val", "test", None])


def catalog(count: int, per_spu: int = 1) -> pl.DataFrame:
    ids = pl.Series("product_id", [f"p{i}" for i in range(count)])
    return pl.DataFrame([ids, pl.Series("spu_id", [f"s{i // per_spu}" for i in range(count)])])


@given(st.integers(20, 200), st.integers(1, 4), st.integers(0, 5), st.randoms())
def test_products_split_by_spu_whatever_their_order(count: int, per_spu: int, seed: int, random: object) -> None:
    shop, config = catalog(count, per_spu), SplitConfig(seed=seed, val=0.2, test=0.3)
    split = split_products(shop, config)
    assert split["product_id"].to_list() == shop["product_id"].to_list()
    sides = shop.join(split, on="product_id").group_by("spu_id").agg(pl.col("split").n_unique())
    assert (sides["split"] == 1).all()
    order = list(range(count))
    random.shuffle(order)  # type: ignore[attr-defined]
    again = split_products(shop[order], config)
    assert again.sort("product_id").equals(split.sort("product_id"))


@pytest.mark.parametrize(("test", "expected"), [(0.25, 100), (30, 30), (1, 1)])
def test_size_of_the_test_split(test: float, expected: int) -> None:
    split = split_products(catalog(400), SplitConfig(test=test, val=0.1))
    assert split.filter(split="test").height == expected
    assert split.filter(split="val").height == 40


def test_growth_moves_few_products() -> None:
    before = split_products(catalog(1000), SplitConfig())
    after = split_products(catalog(1050), SplitConfig())
    moved = before.join(after, on="product_id").filter(pl.col("split") != pl.col("split_right")).height
    assert moved < 40


def test_what_growth_takes_out_of_the_test_split_does_not_become_validation() -> None:
    config = SplitConfig(val=0.1, test=200)
    both = split_products(catalog(1000), config).join(split_products(catalog(1200), config), on="product_id")
    moves = dict(both.select(pl.format("{} → {}", "split", "split_right")).to_series().value_counts().iter_rows())
    assert moves["test → train"] > 20
    assert moves.get("test → val", 0) + moves.get("val → test", 0) <= 10
    assert moves["val → val"] > 80


def test_seeds_differ() -> None:
    first, second = (split_products(catalog(200), SplitConfig(seed=seed)) for seed in (0, 1))
    assert not first.equals(second)


@pytest.mark.parametrize(
    ("config", "message"),
    [(SplitConfig(val=0.0), "val split empty; raise data.split.val"),
     (SplitConfig(test=0), "test split empty; raise data.split.test"),
     (SplitConfig(test=0.9, val=0.1), "train split empty; lower")],
)  # fmt: skip
def test_an_empty_split_is_an_error(config: SplitConfig, message: str) -> None:
    with pytest.raises(UserError, match=message):
        split_products(catalog(100), config)


PAIRS = st.lists(st.tuples(TEXTS, PHOTOS, st.integers(0, 39), LABELS), min_size=1, max_size=60)


@pytest.mark.parametrize("by", ["product", "given"])
@given(rows=PAIRS)
def test_no_query_is_on_two_sides_and_every_pair_is_counted(by: str, rows: list) -> None:
    products = split_products(catalog(30), SplitConfig(val=0.3, test=0.3))  # p30 … p39 are unknown
    anchors = products.unique("split").rows()  # so that no split comes out empty
    rows = [row for row in rows if row[0] or row[1]] + [(f"only {side}", None, int(p[1:]), side) for p, side in anchors]
    pairs = pl.DataFrame(
        [(text, photo, f"p{product}", label) for text, photo, product, label in rows],
        ["query_text", "query_image_key", "product_id", "split"], orient="row",
        schema_overrides=dict.fromkeys(["query_text", "query_image_key", "split"], pl.String),
    )  # fmt: skip
    look = {"k4": "k1"}  # of these two, one is the other compressed again
    pairs = pairs.with_columns(query_look=pl.col("query_image_key").replace(look))
    kept, counts = split_pairs(pairs, products, SplitConfig(by=by, val=0.3))
    assert sum(counts.values()) == pairs.height
    assert sum(count for what, count in counts.items() if what.startswith("in ")) == kept.height
    for query in (normalise_query(pl.col("query_text")), pl.col("query_look")):
        sides = kept.filter(query.is_not_null()).group_by(query.alias("q")).agg(pl.col("split").n_unique())
        assert (sides["split"] == 1).all()
    if by == "product":
        joined = kept.join(products, on="product_id")
        assert joined["split"].equals(joined["split_right"])


def test_a_query_goes_where_most_of_its_pairs_are_and_ties_to_the_unseen_side() -> None:
    products = pl.DataFrame({"product_id": ["a", "b", "c", "d"], "split": ["train", "train", "test", "val"]})
    rows = [("most", "a"), ("most", "b"), ("most", "c"), ("tie", "a"), ("tie", "c"), ("tie", "d"), ("v", "d")]
    pairs = pl.DataFrame(rows, ["query_text", "product_id"], orient="row")
    pairs = pairs.with_columns(query_look=pl.lit(None, pl.String))
    kept, counts = split_pairs(pairs, products, SplitConfig())
    assert kept.select("query_text", "product_id").rows() == [("most", "a"), ("most", "b"), ("tie", "c"), ("v", "d")]
    assert counts == {"dropped, their query text belongs to another split": 3, "in train": 2, "in val": 1, "in test": 1}


def test_given_labels_without_test_measure_on_val() -> None:
    rows = [(f"k{i}", f"p{i % 30}", "train" if i < 200 else "val") for i in range(250)]
    pairs = pl.DataFrame(rows, ["query_look", "product_id", "split"], orient="row")
    pairs = pairs.with_columns(query_text=pl.lit(None, pl.String))
    config = SplitConfig(by="given", val=0.1)
    products = split_products(catalog(30), config)
    assert set(products["split"]) == {"train", "val"}
    kept, counts = split_pairs(pairs, products, config)
    assert counts == {"in train": 180, "in val": 20, "in test": 50}
    assert kept.filter(split="test")["query_look"].to_list() == [f"k{i}" for i in range(200, 250)]
    again, _ = split_pairs(pairs.reverse(), products, config)
    assert again.sort("query_look").equals(kept.sort("query_look"))


@pytest.mark.parametrize(("label", "message"), [(None, "no 'split' label"), ("train", "every event is labelled train")])
def test_given_without_labels_to_measure_on_is_an_error(label: str | None, message: str) -> None:
    pairs = pl.DataFrame({"query_text": ["a"], "query_look": [None], "product_id": ["p0"], "split": [label]})
    with pytest.raises(UserError, match=f"by=given: .*{message}"):
        split_pairs(pairs, split_products(catalog(30), SplitConfig()), SplitConfig(by="given"))


def asked_for(rows: list[tuple[str | None, str | None]]) -> pl.DataFrame:
    """Of photos `photo-n` and `photo-n again` one is the other compressed again."""
    asked = pl.DataFrame(rows, {"query_text": pl.String, "query_image_key": pl.String}, orient="row")
    return asked.with_columns(query_look=pl.col("query_image_key").str.strip_suffix(" again"))


def test_texts_and_photos_that_were_trained_on_are_taken_away() -> None:
    seen = asked_for([("red boots", None), (None, "photo-1"), ("blue mug", "photo-2")])
    asked = asked_for(
        [("Red  Boots ", "photo-9"), ("green lamp", "photo-1 again"), ("BLUE mug", None), ("new", "new"), (None, "photo-2")]
    )
    kept, lost = without_seen(asked, seen)
    assert kept.drop("query_look").rows() == [(None, "photo-9"), ("green lamp", None), ("new", "new")]
    assert lost == {"words": 2, "photo": 2}


def test_without_training_nothing_is_taken_away() -> None:
    asked = asked_for([("red boots", None), (None, "photo-1")])
    kept, lost = without_seen(asked, asked_for([]))
    assert (kept.rows(), lost) == (asked.rows(), {})
