"""Looking products up in tables of vectors that anybody may have made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openmoon.errors import UserError
from openmoon.serving.lookup import VectorLookup


def vectors_table(path: Path, ids: list, dtype: pl.DataType | None = None) -> None:
    vectors = pl.Series("vector", np.arange(len(ids) * 2, dtype=np.float32).reshape(-1, 2))
    pl.DataFrame({"product_id": ids, "vector": vectors.cast(dtype or pl.Array(pl.Float32, 2))}).write_parquet(path)


def test_vectors_of_anyone_are_looked_up_by_id(tmp_path: Path) -> None:
    vectors_table(tmp_path / "v.parquet", [7, 8, 9])
    lookup = VectorLookup(tmp_path / "v.parquet")
    np.testing.assert_array_equal(lookup(["9", "7"]), [[4, 5], [0, 1]])
    np.testing.assert_array_equal(lookup(["9", "7", "9"]), [[4, 5], [0, 1], [4, 5]])
    with pytest.raises(UserError, match=r"no vector of 1 of the 2 products that are measured, such as '5'"):
        lookup(["9", "5"])


def test_tables_that_are_none(tmp_path: Path) -> None:
    vectors_table(tmp_path / "list.parquet", ["a"], pl.List(pl.Float64))
    pl.DataFrame({"product_id": ["a"]}).write_parquet(tmp_path / "bare.parquet")
    wrong = {"list": "expected a fixed-size list", "bare": "'vector' is missing", "none": "no such vectors table"}
    for name, message in wrong.items():
        with pytest.raises(UserError, match=message):
            VectorLookup(tmp_path / f"{name}.parquet")


@pytest.mark.parametrize("ids", [["a", "b", "a"], ["b", "b", "a"]])
def test_a_product_that_is_there_twice_is_refused(tmp_path: Path, ids: list[str]) -> None:
    vectors_table(tmp_path / "v.parquet", ids)
    twice = max(ids, key=ids.count)
    with pytest.raises(UserError, match=f"has several vectors of product '{twice}'; keep one"):
        VectorLookup(tmp_path / "v.parquet")(["a", "b"])
    if twice == "b":
        assert VectorLookup(tmp_path / "v.parquet")(["a"]).tolist() == [[4, 5]]
