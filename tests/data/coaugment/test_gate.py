"""The gate counts as a plain loop does, keeps what is close to its product and drops what is planted on another."""

from __future__ import annotations

import numpy as np

from openmoon.data.coaugment import gate
from openmoon.data.coaugment.gate import STRANGE, WORSE, Anchors, judge, nearer_than_others

PRODUCTS, DIM = 60, 16


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def shop() -> tuple[Anchors, np.ndarray]:
    """Anchors whose titles and pictures match, and the meanings behind them."""
    rng = np.random.default_rng(0)
    meaning = unit(rng.normal(size=(PRODUCTS, DIM)))
    texts, pictures = (unit(meaning + 0.1 * rng.normal(size=(PRODUCTS, DIM))) for _ in range(2))
    texts[3], pictures[5] = np.nan, np.nan
    return Anchors(texts, pictures, np.arange(PRODUCTS) // 2, np.arange(0, PRODUCTS, 1)), meaning


def test_shares_equal_a_plain_loop(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(gate, "CHUNK", 7)
    anchors, _ = shop()
    anchors = anchors._replace(others=np.arange(0, PRODUCTS, 3))
    rng = np.random.default_rng(1)
    owner = rng.integers(0, PRODUCTS, 40)
    vectors = unit(rng.normal(size=(40, DIM)))
    anchors.texts[21] = anchors.texts[12]  # two products with one title: a tie
    vectors[0], owner[0] = anchors.texts[12], 12
    for targets in (anchors.texts, anchors.pictures):
        found = nearer_than_others(vectors, owner, targets, anchors)
        for n in range(40):
            mine = vectors[n] @ targets[owner[n]]
            others = [o for o in anchors.others if anchors.family[o] != anchors.family[owner[n]]]
            theirs = [vectors[n] @ targets[o] for o in others if np.isfinite(targets[o]).all()]
            further = [0.5 if abs(other - mine) < 1e-6 else float(other < mine) for other in theirs]
            np.testing.assert_allclose(found[n], np.nan if np.isnan(mine) else np.mean(further))


def test_good_ones_are_kept_and_planted_ones_dropped() -> None:
    anchors, meaning = shop()
    rng = np.random.default_rng(2)
    owner = np.arange(PRODUCTS)
    good = unit(meaning + 0.1 * rng.normal(size=meaning.shape))
    planted = good[(owner + 7) % PRODUCTS]
    for kind in ("text", "image"):
        assert judge(kind, good, owner, anchors).reasons(0.98, 0.05) == [None] * PRODUCTS
        dropped = judge(kind, planted, owner, anchors).reasons(0.98, 0.05)
        assert sum(reason is not None for reason in dropped) >= PRODUCTS - 2
        assert STRANGE in dropped


def test_what_matches_the_other_side_less_than_the_original_is_dropped() -> None:
    anchors, _ = shop()
    rng = np.random.default_rng(3)
    drifted = unit(anchors.pictures - 1.05 * (anchors.pictures * anchors.texts).sum(1, keepdims=True) * anchors.texts
                   + 0.02 * rng.normal(size=anchors.texts.shape))  # fmt: skip
    rows = np.array([row for row in range(PRODUCTS) if row not in (3, 5)])
    found = judge("image", drifted[rows], rows, anchors)
    assert (found.before == 1).all()
    assert WORSE in found.reasons(0.0, 0.05)
    np.testing.assert_allclose(found.score, np.minimum(found.same, 1 - np.maximum(found.before - found.cross, 0)))


def test_a_missing_side_asks_nothing() -> None:
    anchors, meaning = shop()
    found = judge("text", meaning[[5]], np.array([5]), anchors)
    assert np.isnan(found.cross[0])
    assert found.reasons(0.9, 0.05) == [None]
    alone = anchors._replace(others=np.array([8, 9]))
    nobody = judge("text", meaning[[8]], np.array([8]), alone)
    assert np.isnan(nobody.same[0])
    assert nobody.score[0] == 1
