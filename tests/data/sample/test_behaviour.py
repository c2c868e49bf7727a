"""The simulated log shows what it says it shows: position bias, popularity bias, uniform slices, signal and noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openmoon.data.sample import ShopSummary

Shop = tuple[Path, ShopSummary]


@pytest.fixture(scope="module")
def rows(shop: Shop) -> pl.DataFrame:
    """Events beside their truth."""
    folder, _ = shop
    truth = pl.read_parquet(folder / "truth/events.parquet").drop("row")
    return pl.concat([pl.read_parquet(folder / "events.parquet"), truth], how="horizontal")


@pytest.fixture(scope="module")
def shown(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("action") == "impression")


def test_time_runs_forward_and_clicks_follow_impressions(rows: pl.DataFrame) -> None:
    assert rows["timestamp"].is_sorted()
    key = ["request", "product_id", "position", "user_id", "session_id"]
    for later, earlier in (("click", "impression"), ("cart", "click"), ("purchase", "cart")):
        after, before = rows.filter(pl.col("action") == later), rows.filter(pl.col("action") == earlier)
        joined = after.join(before, on=key, how="left", suffix="_before")
        assert joined["timestamp_before"].is_not_null().all()
        assert (joined["timestamp"] > joined["timestamp_before"]).all()


def test_propensities_are_probabilities_of_each_slot(shown: pl.DataFrame) -> None:
    assert shown["propensity"].is_between(0, 1, closed="right").all()
    first = shown.filter(pl.col("position") == 1)["propensity"].mean()
    last = shown.filter(pl.col("position") == 8)["propensity"].mean()
    assert first > 2 * last


def test_no_product_twice_in_a_list_and_positions_without_gaps(shown: pl.DataFrame) -> None:
    lists = shown.group_by("request").agg(pl.len(), pl.col("product_id").n_unique(), pl.col("position").max())
    assert (lists["len"] == lists["product_id"]).all()
    assert (lists["len"] == lists["position"]).all()


def test_new_products_are_not_shown_before_they_appear(shop: Shop, shown: pl.DataFrame) -> None:
    catalog = pl.read_parquet(shop[0] / "catalog.parquet", columns=["product_id", "created_at"])
    joined = shown.join(catalog, on="product_id")
    assert (joined["timestamp"] >= joined["created_at"]).all()
    assert (catalog["created_at"] > shown["timestamp"].min()).any()


def test_random_lists_are_uniform_over_the_wanted_category(shop: Shop, shown: pl.DataFrame) -> None:
    category = pl.read_parquet(shop[0] / "truth/products.parquet").select("product_id", "type", "born_day")
    uniform = shown.filter("uniform").join(category, on="product_id")
    wanted = category.select(wanted="product_id", wanted_type="type")
    assert (uniform.join(wanted, on="wanted")["type"] == uniform.join(wanted, on="wanted")["wanted_type"]).all()
    # the slots of one list are drawn from n, n - 1, … live products
    left = (1 / uniform["propensity"]).round() + uniform["position"]
    assert (1 / uniform["propensity"] - (1 / uniform["propensity"]).round()).abs().max() < 1e-4
    assert (
        left.to_frame("n").with_columns(uniform["request"]).group_by("request").agg(pl.col("n").n_unique())["n"] == 1
    ).all()
    # and the first slot favours nobody: within a category, every old product comes first about equally often
    first = uniform.filter((pl.col("position") == 1) & (pl.col("born_day") == 0))
    counts = first.group_by("type", "product_id").len().with_columns(pl.col("len").mean().over("type").alias("mean"))
    chi = ((counts["len"] - counts["mean"]) ** 2 / counts["mean"]).sum()
    assert chi < counts.height + 6 * np.sqrt(2 * counts.height)


def test_ranked_lists_favour_what_is_popular(shop: Shop, shown: pl.DataFrame) -> None:
    # among lists for something else, so that being wanted more often is not the reason
    other = shown.filter(~pl.col("uniform") & (pl.col("product_id") != pl.col("wanted")))
    middle = other["timestamp"].median()
    clicks = shown.filter(pl.col("timestamp") < middle).group_by("product_id").agg(pl.col("clicked").sum())
    exposure = other.filter(pl.col("timestamp") >= middle).group_by("product_id").len()
    assert exposure.join(clicks, on="product_id").select(pl.corr("clicked", "len", method="spearman")).item() > 0.5


def test_clicks_depend_on_position_among_equally_relevant(shown: pl.DataFrame) -> None:
    likely = shown.filter(pl.col("relevance").is_between(0.3, 0.9))
    top = likely.filter(pl.col("position") <= 2)["clicked"].mean()
    low = likely.filter(pl.col("position") >= 6)["clicked"].mean()
    assert top > 1.3 * low


def test_true_probabilities_are_calibrated(shown: pl.DataFrame) -> None:
    assert abs(shown["clicked"].mean() - shown["p_true"].mean()) < 4 * np.sqrt(0.1 / shown.height)
    thirds = shown.with_columns(((pl.col("p_true").rank("ordinal") * 3 - 1) // pl.len()).alias("third")).group_by(
        "third", maintain_order=True
    )
    for _, part in thirds:
        spread = np.sqrt(part["p_true"].mean() / part.height)
        assert abs(part["clicked"].mean() - part["p_true"].mean()) < 5 * spread


def test_clicks_and_purchases_tell_the_wanted_product(rows: pl.DataFrame, shown: pl.DataFrame) -> None:
    by_photo = rows.filter(pl.col("query_image").is_not_null())
    exact = pl.col("product_id") == pl.col("wanted")
    shares = {
        action: by_photo.filter(pl.col("action") == action).select(exact.mean()).item()
        for action in ("impression", "click", "purchase")
    }
    assert shares["impression"] < shares["click"] < shares["purchase"]
    assert 0.6 < shares["purchase"] < 0.99


def test_noise_is_planted_and_recorded(rows: pl.DataFrame) -> None:
    clicks = rows.filter(pl.col("action") == "click")
    assert 0.01 < clicks["noisy"].mean() < 0.15
    noisy, meant = clicks.filter("noisy"), clicks.filter(~pl.col("noisy"))
    assert noisy["relevance"].mean() < 0.5 * meant["relevance"].mean()
    assert not rows.filter(pl.col("action") == "impression")["noisy"].any()
    assert rows.filter((pl.col("action") == "purchase") & pl.col("noisy")).height > 0
