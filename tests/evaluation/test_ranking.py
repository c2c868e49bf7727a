"""Chunked ranking equals the naive loop, whatever the chunk."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from openmoon.evaluation.bm25 import count_better_bm25
from openmoon.evaluation.ranking import count_better, retrieval_metrics
from openmoon.topk import topk


@st.composite
def problems(draw):
    """Small integer vectors (exact in float32, many ties) and distinct (query, item) pairs."""
    queries, items, dim = draw(st.integers(1, 6)), draw(st.integers(1, 12)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pair = st.tuples(st.integers(0, queries - 1), st.integers(0, items - 1))
    pairs = draw(st.lists(pair, min_size=1, max_size=20, unique=True))
    vectors = [rng.integers(-2, 3, (n, dim)).astype(np.float32) for n in (queries, items)]
    return vectors[0], vectors[1], np.array(pairs)


def naive_counts(scores, pairs):
    counts = []
    for query, item in pairs:
        known = {other for asked, other in pairs if asked == query}
        others = [scores[query, j] for j in range(scores.shape[1]) if j not in known]
        counts.append((sum(s > scores[query, item] for s in others), sum(s == scores[query, item] for s in others)))
    return np.array(counts).T


@settings(max_examples=150, deadline=None)
@given(problems(), st.integers(1, 30))
def test_counts_equal_the_naive_loop(problem, chunk):
    queries, items, pairs = problem
    better, ties = count_better(queries, items, pairs, chunk=chunk)
    expected = naive_counts(queries @ items.T, pairs)
    np.testing.assert_array_equal(better, expected[0])
    np.testing.assert_array_equal(ties, expected[1])


@settings(max_examples=150, deadline=None)
@given(problems(), st.integers(1, 15), st.integers(1, 7))
def test_topk_equals_a_stable_sort(problem, k, chunk):
    queries, items, _ = problem
    scores, rows = topk(queries, (items[i : i + chunk] for i in range(0, len(items), chunk)), k)
    full = queries @ items.T
    expected = np.argsort(-full, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(scores, np.take_along_axis(full, expected, 1))


def test_topk_of_real_scores_is_exact():
    rng = np.random.default_rng(0)
    queries, items = rng.standard_normal((5, 16), np.float32), rng.standard_normal((1000, 16), np.float32)
    scores, rows = topk(queries, np.array_split(items, 7), 10)
    full = queries @ items.T
    np.testing.assert_array_equal(rows, np.argsort(-full, axis=1)[:, :10])
    np.testing.assert_allclose(scores, np.take_along_axis(full, rows, 1), atol=1e-5)


def test_equal_vectors_tie_wherever_they_stand():
    rng = np.random.default_rng(1)
    vector = rng.standard_normal((1, 256)).astype(np.float32)
    vector /= np.linalg.norm(vector)
    query = rng.standard_normal((1, 256)).astype(np.float32)
    query /= np.linalg.norm(query)
    better, ties = count_better(query, np.repeat(vector, 1001, axis=0), np.array([[0, 500]]), chunk=37)
    assert (better[0], ties[0]) == (0, 1000)


def test_a_collapsed_encoder_scores_chance():
    vectors = np.full((200, 4), 0.5, np.float32)
    metrics = retrieval_metrics(vectors, vectors, np.stack([np.arange(200)] * 2, axis=1))
    assert metrics["recall@1"] == pytest.approx(1 / 200)
    assert metrics["median_rank"] == 100.5


def test_bm25_ranks_by_words_and_ties_at_zero():
    items = ["red leather boots", "blue boots", "green shirt", "", "红色 连衣裙"]
    queries = ["red boots", "purple", "", "红裙"]
    pairs = np.array([[0, 0], [0, 2], [1, 1], [2, 3], [3, 4]])
    better, ties = count_better_bm25(queries, items, pairs)
    np.testing.assert_array_equal(better, [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(ties, [0, 2, 4, 4, 0])


def bm25_by_loops(queries, items):
    """Lucene's BM25, word by word."""
    documents = [text.casefold().split() for text in items]
    mean = sum(map(len, documents)) / len(documents)
    scores = np.zeros((len(queries), len(items)))
    for q, query in enumerate(queries):
        for word in query.casefold().split():
            holding = sum(word in document for document in documents)
            rarity = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
            for d, document in enumerate(documents):
                count = document.count(word)
                scores[q, d] += rarity * count / (count + 1.5 * (1 - 0.75 + 0.75 * len(document) / max(mean, 1e-9)))
    return scores


TEXTS = st.lists(st.sampled_from(["red", "Red", "boot", "boots", "5", "L", "é", "مرحبا"]), max_size=12).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4), st.lists(TEXTS, min_size=8, max_size=30))
def test_bm25_equals_the_formula(queries, items):
    pairs = np.array([(q, i) for q in range(len(queries)) for i in range(0, len(items), 3)])
    better, ties = count_better_bm25(queries, items, pairs)
    scores = bm25_by_loops(queries, items)
    gaps = np.abs(scores[:, :, None] - scores[:, None])
    assume(not ((gaps > 1e-9) & (gaps < 1e-4)).any())  # float32 could not tell them from a tie
    np.testing.assert_array_equal((better, ties), naive_counts(scores.round(6), pairs.tolist()))


def test_bm25_of_items_without_words_is_chance():
    better, ties = count_better_bm25(["boots"], ["", "  ", "!"], np.array([[0, 1]]))
    assert (better[0], ties[0]) == (0, 2)
