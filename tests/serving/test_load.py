"""A table whole: rows in their order, and no doubt about what belongs to whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openmoon.errors import UserError
from openmoon.serving.load import load_query_vectors, load_vectors
from openmoon.serving.vectors import QUERY, ROWS, VectorWriter

DIM = 3


def foreign(path: Path, vectors: list[list[float]], **columns: object) -> Path:
    pl.DataFrame({**columns, "vector": pl.Series(vectors, dtype=pl.Array(pl.Float32, 2))}).write_parquet(path)
    return path


def test_products_of_several_row_groups(tmp_path: Path) -> None:
    rows = 2 * ROWS + 5
    made = pl.DataFrame({"product_id": [f"p{n}" for n in range(rows)], "content_hash": "h"})
    vectors = np.random.default_rng(0).standard_normal((rows, DIM)).astype(np.float32)
    writer = VectorWriter(tmp_path / "v.parquet", DIM, "e@1")
    for start in range(0, rows, 3000):
        writer.write(made[start : start + 3000], vectors[start : start + 3000])
    writer.finish(made)
    ids, matrix, encoder = load_vectors(tmp_path / "v.parquet")
    assert ids == made["product_id"].to_list()
    np.testing.assert_array_equal(matrix, vectors)
    assert matrix.dtype == np.float32
    assert encoder == "e@1"


def test_queries(tmp_path: Path) -> None:
    made = pl.DataFrame({"query_text": ["boots", None], "query_image": [None, "a.jpg"], "content_hash": ["1", "2"]})
    writer = VectorWriter(tmp_path / "q.parquet", DIM, "e", QUERY)
    writer.write(made, np.eye(DIM)[:2])
    writer.finish(made)
    queries, matrix, encoder = load_query_vectors(tmp_path / "q.parquet")
    assert queries.equals(made.select(QUERY))
    np.testing.assert_array_equal(matrix, np.eye(DIM)[:2])
    assert encoder == "e"
    with pytest.raises(UserError, match="column 'product_id' is missing"):
        load_vectors(tmp_path / "q.parquet")


def test_anyones_table_with_numbers_for_ids_and_without_an_encoder(tmp_path: Path) -> None:
    found = load_vectors(foreign(tmp_path / "v.parquet", [[1, 0], [0, 1]], product_id=[7, 5]))
    assert (found.ids, found.encoder) == (["7", "5"], None)
    empty = load_vectors(foreign(tmp_path / "v.parquet", [], product_id=[]))
    assert (empty.ids, empty.matrix.shape) == ([], (0, 2))


@pytest.mark.parametrize(
    ("ids", "vectors", "encoder", "message"),
    [
        (["a", "b", "a"], [[1, 0], [0, 1], [0, 1]], "e", r"row 0 \(product_id = 'a'\) is there twice"),
        (["a", None], [[1, 0], [0, 1]], "e", r"row 1 \(product_id = None\) has no key"),
        (["a", "b"], [[1, 0], [0, float("nan")]], "e", r"row 1 \(product_id = 'b'\) has NaN or infinity"),
        (["a", "b"], [[1, 0], [0, 1]], ["e", "f"], "of the encoders 'e' and 'f', which cannot be compared"),
    ],
)
def test_what_leaves_doubt_is_refused(
    tmp_path: Path, ids: list[str | None], vectors: list[list[float]], encoder: object, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load_vectors(foreign(tmp_path / "v.parquet", vectors, product_id=ids, encoder=encoder))
