"""Semantic ids: encoding and decoding, and their quality on codes made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from openmoon.ctr.codes import Codebooks, code_quality, residual_kmeans
from openmoon.errors import UserError


def clustered(count: int = 240) -> np.ndarray:
    """4 far groups of 3 near groups each, all of unit length."""
    random = np.random.default_rng(0)
    far, near = random.normal(size=(4, 12)), random.normal(size=(4, 3, 12))
    number = np.arange(count)
    found = 3 * far[number % 4] + near[number % 4, number // 4 % 3] + 0.02 * random.normal(size=(count, 12))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_encoding_takes_the_nearest_centroid_of_what_is_left() -> None:
    books = Codebooks(np.array([[[0, 0], [10, 0]], [[1, 0], [0, 2]]], np.float32))
    vectors = np.array([[11, 0.2], [0.2, 2], [9, 3]], np.float32)
    codes = books.encode(vectors)
    assert codes.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert books.decode(codes).tolist() == [[11, 0], [0, 2], [10, 2]]


def test_codebooks_come_near_the_vectors_level_by_level() -> None:
    vectors = clustered()
    books = residual_kmeans(vectors, levels=3, codes=8, seed=0)
    codes = books.encode(vectors)
    assert books.centroids.shape == (3, 8, 12)
    assert codes.shape == (240, 3)
    errors = [
        np.linalg.norm(vectors - Codebooks(books.centroids[:n]).decode(codes[:, :n]), axis=1).mean() for n in (1, 2, 3)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.05
    again = residual_kmeans(vectors, levels=3, codes=8, seed=0)
    np.testing.assert_array_equal(again.centroids, books.centroids)
    assert code_quality(vectors, codes, 8).prefix_cosine[0] is not None


def test_more_codes_than_vectors_are_refused() -> None:
    with pytest.raises(UserError, match="8 codes from 7 products"):
        residual_kmeans(clustered(7), 2, 8)


def test_quality_of_codes_made_by_hand() -> None:
    angles = np.deg2rad([0, 10, 60, 150, 160])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1)
    codes = np.array([[0, 1], [0, 1], [0, 2], [3, 1], [3, 2]])
    found = code_quality(vectors, codes, size=4, pairs=40_000)
    assert found.collisions == pytest.approx(2 / 5)
    assert found.used == [2 / 4, 2 / 4]
    cosines = np.cos(angles[:, None] - angles)
    apart = [(i, j) for i in range(3) for j in (3, 4)]
    # partners are drawn per product, so each product's pairs weigh the same
    exactly_none = np.mean([cosines[i, j] for i, j in apart])
    assert found.prefix_cosine[0] == pytest.approx(exactly_none, abs=0.03)
    assert found.prefix_cosine[2] == pytest.approx(cosines[0, 1])
    one = found.prefix_cosine[1]
    assert one is not None
    assert min(cosines[0, 2], cosines[3, 4]) < one < max(cosines[1, 2], cosines[3, 4])


def test_longer_shared_prefixes_mean_nearer_products() -> None:
    vectors = clustered()
    curve = code_quality(vectors, residual_kmeans(vectors, 2, 4).encode(vectors), 4, pairs=5000).prefix_cosine
    assert len(curve) == 3
    assert all(value is not None for value in curve)
    assert curve[0] < curve[1] < curve[2]  # type: ignore[operator]


def test_codes_that_nobody_shares_have_no_pairs() -> None:
    vectors, codes = np.eye(3), np.array([[0, 0], [1, 0], [2, 0]])
    found = code_quality(vectors, codes, 3, pairs=50)
    assert (found.collisions, found.used) == (0, [1, 1 / 3])
    assert found.prefix_cosine == [0, None, None]
