"""The rules of pairs against what they say, on any pairs."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import numpy as np
import polars as pl
from hypothesis import given

from openmoon.data.pairs import cleaning
from openmoon.data.pairs.entities import Entities
from openmoon.data.pairs.ledger import Ledger

SCHEMA = {
    "query_text": pl.String, "query_image_key": pl.String, "product_id": pl.String, "spu": pl.String, "category": pl.String,
    "count": pl.UInt32, "users": pl.List(pl.String), "action": pl.String,
}  # fmt: skip
STRENGTH = {"click": 0, "cart": 1, "purchase": 2}


def frame(rows: list[tuple[str | None, str | None, int, int, list[str], str]]) -> pl.DataFrame:
    """Pairs of (text, photo, product, count, users, action); two products an SPU, four a category."""
    return pl.DataFrame(
        [(t, k, f"p{p}", f"s{p // 2}", f"c{p // 4}" if p < 12 else None, n, users, a) for t, k, p, n, users, a in rows],
        SCHEMA, orient="row",
    ).unique(["query_text", "query_image_key", "product_id"], maintain_order=True)  # fmt: skip


row = st.tuples(
    st.none() | st.sampled_from(["red boot", "mug", "blue mug", "lamp"]), st.none() | st.sampled_from(["k1", "k2"]),
    st.integers(0, 15), st.integers(1, 4), st.lists(st.sampled_from("uvw"), min_size=1, max_size=3, unique=True),
    st.sampled_from(list(STRENGTH)),
).filter(lambda r: r[0] is not None or r[1] is not None)  # fmt: skip
pairs = st.lists(row, min_size=1, max_size=30).map(frame)


def is_part(part: pl.DataFrame, whole: pl.DataFrame) -> bool:
    """Whether `part` is `whole` less some rows, in the same order."""
    kept = iter(whole.rows())
    return all(any(r == other for other in kept) for r in part.rows())


def rank(r: dict) -> tuple[int, int]:  # type: ignore[type-arg]
    return STRENGTH[r["action"]], r["count"]


@given(pairs, st.integers(1, 3))
def test_caps_keep_the_strongest_pairs_of_each(table: pl.DataFrame, most: int) -> None:
    found = cleaning.cap_per_item(table, most)
    assert is_part(found, table)
    for product, group in table.group_by("product_id"):
        kept = found.filter(product_id=product[0])
        assert len(kept) == min(most, len(group))
        strongest = sorted((rank(r) for r in group.to_dicts()), reverse=True)[:most]
        assert sorted((rank(r) for r in kept.to_dicts()), reverse=True) == strongest
    per_user = cleaning.cap_per_user(table, most)
    assert is_part(per_user, table)
    kept_rows = set(map(str, per_user.rows()))
    counted: set[str] = set()
    for user in "uvw":
        own = table.filter(pl.col("users").list.contains(user))
        ranks = sorted(map(rank, own.to_dicts()), reverse=True)
        least = ranks[min(most, len(ranks)) - 1] if ranks else (0, 0)
        kept = {str(t) for r, t in zip(own.to_dicts(), own.rows(), strict=True) if rank(r) >= least} & kept_rows
        assert len(kept) >= min(most, len(own)), "of every shopper as many as may stay, the strongest"
        counted |= kept
    assert counted == kept_rows, "no pair stays that is among the strongest of none of its shoppers"


@given(pairs)
def test_merging_leaves_the_most_chosen_sku_of_an_spu_for_each_query(table: pl.DataFrame) -> None:
    found = cleaning.merge_spus(table)
    assert is_part(found, table)
    key = ["query_text", "query_image_key", "spu"]
    assert len(found) == len(table.unique(key))
    for r in found.to_dicts():
        rivals = [o for o in table.to_dicts() if all(o[k] == r[k] for k in key)]
        assert rank(r) == max(map(rank, rivals))


@given(pairs, st.randoms(use_true_random=False))
def test_the_hardest_query_of_each_kind_stays(table: pl.DataFrame, random) -> None:  # type: ignore[no-untyped-def]
    scores = np.array([random.choice([0.1, 0.2, 0.3, 0.4]) for _ in range(len(table))])
    found = cleaning.hardest_queries(table, scores)
    assert is_part(found, table)

    def kind(r: dict) -> tuple[str, bool, bool]:  # type: ignore[type-arg]
        return r["spu"], r["query_text"] is None, r["query_image_key"] is None

    best: dict[tuple[str, bool, bool], float] = {}
    for r, score in zip(table.to_dicts(), scores, strict=True):
        best[kind(r)] = min(score, best.get(kind(r), 9.0))
    scored = dict(zip(map(str, table.rows()), scores, strict=True))
    assert {kind(r): scored[str(t)] for r, t in zip(found.to_dicts(), found.rows(), strict=True)} == best
    assert len(found) == len(best)


@given(pairs, st.lists(st.just(0.0) | st.floats(1e-6, 1), min_size=4, max_size=4))
def test_categories_get_their_share_of_the_impressions(table: pl.DataFrame, weights: list[float]) -> None:
    shares = dict(zip(["c0", "c1", "c2", None], weights, strict=True))
    found = cleaning.match_categories(table, shares)
    there = Counter(table["category"])
    most = {c: cleaning.MOST_REPEATS * n for c, n in there.items() if shares[c]}
    total = min(len(table), sum(most.values()))
    low, high = 0.0, 1e9  # pairs per share of the impressions, found by halving
    for _ in range(200):
        unit = (low + high) / 2
        low, high = (unit, high) if sum(min(shares[c] * unit, most[c]) for c in most) < total else (low, unit)
    for category in there:
        wanted = min(shares[category] * high, most.get(category, 0))
        assert abs((found["category"].to_list().count(category)) - wanted) <= 0.51
    times = Counter(map(str, found.rows()))
    assert all(n <= cleaning.MOST_REPEATS for n in times.values())


def test_texts_without_enough_names_go_and_photos_stay() -> None:
    table = frame([("red boot", None, 1, 1, ["u"], "click"), ("mug", None, 2, 1, ["u"], "click"),
                   ("mug", "k1", 3, 1, ["u"], "click"), (None, "k2", 4, 1, ["u"], "click")])  # fmt: skip
    ledger = Ledger()
    found = ledger.apply("entities", table, lambda p: cleaning.with_entities(p, Entities(["red", "boot", "mug"]), 2))
    shown = found.select("query_text", "query_image_key").rows()
    assert shown == [("red boot", None), (None, "k1"), (None, "k2")]
    (entry,) = ledger.entries
    assert (entry.came, entry.dropped, entry.shortened, entry.repeated, entry.kept) == (4, 1, 1, 0, 3)
    assert entry.examples.rows() == [("mug", None, "p2")]


def test_pairs_that_lose_their_text_and_are_one_then_are_met_once() -> None:
    table = frame([("mug", "k1", 2, 1, ["u"], "click"), ("lamp", "k1", 2, 4, ["v"], "cart"), (None, "k1", 3, 1, ["u"], "click")])
    found = cleaning.with_entities(table, Entities(["red", "boot"]), 2)
    assert found.select("query_text", "query_image_key", "product_id").rows() == [(None, "k1", "p2"), (None, "k1", "p3")]
    assert found["action"].to_list() == ["cart", "click"], "the strongest stays"


def test_no_rule_is_asked_where_no_pair_is_left() -> None:
    ledger = Ledger()
    assert ledger.apply("hardest query", frame([]), lambda p: p.select("no such column")).is_empty()
    assert ledger.entries[0].came == ledger.entries[0].kept == 0


def test_the_ledger_counts_repeats() -> None:
    ledger = Ledger()
    found = ledger.apply("twice", frame([("mug", None, 2, 1, ["u"], "click")] * 1), lambda p: pl.concat([p, p]))
    assert (len(found), ledger.entries[0].repeated, ledger.entries[0].dropped) == (2, 1, 0)


def test_impressions_of_other_products_do_not_count() -> None:
    events = pl.DataFrame({"action": ["impression"] * 4 + ["click"], "product_id": ["a", "a", "b", "z", "b"]})
    items = pl.DataFrame({"product_id": ["a", "b", "c"], "category": ["x", None, "y"]})
    assert cleaning.impression_shares(events, items) == {"x": 2 / 3, None: 1 / 3}
    assert cleaning.impression_shares(events.filter(action="click"), items) == {}
