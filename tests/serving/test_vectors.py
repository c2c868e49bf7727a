"""The vectors table: what was written comes back, killed runs resume, stale rows go."""

from datetime import datetime

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmoon.errors import UserError
from openmoon.learnt import NO_BEHAVIOUR
from openmoon.serving import vectors as module
from openmoon.serving.search import search
from openmoon.serving.vectors import QUERY, VectorTable, VectorWriter, existing, iter_vectors, learnt_until

DIM = 4


def vectors_of(ids):
    """A vector that follows from the id, so that a mix-up shows."""
    return np.stack([np.random.default_rng([*map(ord, one)]).standard_normal(DIM) for one in ids]).astype(np.float32)


def keep(ids, version="1"):
    return pl.DataFrame({"product_id": ids, "content_hash": [f"{one}-{version}" for one in ids]})


def write(path, ids, version="1", encoder="e"):
    writer = VectorWriter(path, DIM, encoder)
    if ids:
        writer.write(keep(ids, version), vectors_of(ids))
    return writer


def read(path):
    chunks = (zip(ids, vectors, strict=True) for ids, vectors in iter_vectors(path, rows=3))
    return {one: vector for chunk in chunks for one, vector in chunk}


def assert_holds(path, ids):
    found = read(path)
    assert sorted(found) == sorted(ids)
    for one in ids:
        np.testing.assert_array_equal(found[one], vectors_of([one])[0])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=5), min_size=0, max_size=30, unique=True), st.integers(1, 10))
def test_round_trip_of_any_ids(tmp_path_factory, ids, batch):
    path = tmp_path_factory.mktemp("vectors") / "v.parquet"
    writer = VectorWriter(path, DIM, "e")
    for start in range(0, len(ids), batch):
        part = ids[start : start + batch]
        writer.write(keep(part), vectors_of(part))
    done = writer.finish(keep(ids) if ids else keep(["x"]))
    assert (done.rows, done.added, done.dropped) == (len(ids), len(ids), 0)
    assert_holds(path, ids)
    table = VectorTable(path)
    assert (table.rows, table.dim) == (len(ids), DIM)


def test_only_changed_products_are_new(tmp_path):
    path = tmp_path / "v.parquet"
    write(path, ["a", "b", "c"]).finish(keep(["a", "b", "c"]))
    current = pl.concat([keep(["a"]), keep(["b"], "2"), keep(["d"])])
    todo = current.join(existing(path, "e"), on=["product_id", "content_hash"], how="anti")
    assert todo["product_id"].to_list() == ["b", "d"]
    writer = VectorWriter(path, DIM, "e")
    writer.write(todo, vectors_of(["b2", "d"]))
    done = writer.finish(current)
    assert (done.rows, done.added, done.dropped) == (3, 2, 2)
    np.testing.assert_array_equal(read(path)["b"], vectors_of(["b2"])[0])
    assert VectorTable(path).strings("product_id", "content_hash").sort("product_id").rows() == [
        ("a", "a-1"), ("b", "b-2"), ("d", "d-1"),
    ]  # fmt: skip


def test_killed_run_resumes_from_its_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 2)
    path = tmp_path / "v.parquet"
    write(path, ["a"]).finish(keep(["a"]))
    writer = write(path, ["b", "c"])
    writer.write(keep(["lost"]), vectors_of(["lost"]))  # gathered, never flushed: the kill comes here
    assert sorted(existing(path, "e")["product_id"]) == ["a", "b", "c"]
    assert_holds(path, ["a"])
    done = write(path, ["lost"]).finish(keep(["a", "b", "c", "lost"]))
    assert (done.rows, done.added, done.dropped) == (4, 3, 0)
    assert_holds(path, ["a", "b", "c", "lost"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.parquet"]


def test_kill_between_rename_and_clean_up_doubles_nothing(tmp_path, monkeypatch):
    path = tmp_path / "v.parquet"
    monkeypatch.setattr(module.shutil, "rmtree", lambda *args, **kwargs: None)
    write(path, ["a", "b"]).finish(keep(["a", "b"]))
    monkeypatch.undo()
    assert len(existing(path, "e")) == 2
    done = VectorWriter(path, DIM, "e").finish(keep(["a", "b"]))
    assert (done.rows, done.added, done.dropped) == (2, 0, 0)
    assert_holds(path, ["a", "b"])


def test_another_encoder_replaces_the_table_even_with_another_length(tmp_path):
    path = tmp_path / "v.parquet"
    write(path, ["a", "b"], encoder="old").finish(keep(["a", "b"]))
    assert existing(path, "new").is_empty()
    writer = VectorWriter(path, 2, "new")
    writer.write(keep(["a"]), np.ones((1, 2), np.float32))
    done = writer.finish(keep(["a", "b"]))
    assert (done.rows, done.added, done.dropped) == (1, 1, 2)
    assert VectorTable(path).dim == 2


def test_same_encoder_with_another_length_is_refused(tmp_path):
    path = tmp_path / "v.parquet"
    write(path, ["a"]).finish(keep(["a"]))
    with pytest.raises(UserError, match=r"v\.parquet: vectors have 4 dimensions, this run of encoder 'e' makes 2"):
        VectorWriter(path, 2, "e").finish(keep(["a"]))
    assert_holds(path, ["a"])


@pytest.mark.parametrize("vectors", [np.ones((1, 3)), np.ones((2, DIM)), np.full((1, DIM), np.nan)])
def test_wrong_vectors_are_refused(tmp_path, vectors):
    with pytest.raises(UserError, match="encoder 'e' gave vectors"):
        VectorWriter(tmp_path / "v.parquet", DIM, "e").write(keep(["a"]), vectors)


def test_broken_tables_are_named(tmp_path):
    path = tmp_path / "v.parquet"
    with pytest.raises(UserError, match="no such vectors table"):
        VectorTable(path)
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(UserError, match="not a readable vectors table"):
        VectorTable(path)
    pl.DataFrame({"product_id": ["a"], "vector": [[1.0]]}).write_parquet(path)
    with pytest.raises(UserError, match="column 'encoder' is missing"):
        VectorTable(path)
    pl.DataFrame({"product_id": ["a"], "vector": [[1.0]], "encoder": "e", "content_hash": "h"}).write_parquet(path)
    with pytest.raises(UserError, match="expected a fixed-size list of float32"):
        VectorTable(path)


def test_tables_written_by_polars_are_read(tmp_path):
    path = tmp_path / "outside.parquet"
    frame = pl.DataFrame({"product_id": ["a", "b"], "encoder": "clip", "content_hash": "h"})
    vectors = pl.Series("vector", [[1.0, 0.0], [0.0, 1.0]], pl.Array(pl.Float32, 2))
    frame.with_columns(vectors).write_parquet(path)
    assert search(path, np.array([0.1, 1]), k=5)["product_id"].to_list() == ["b", "a"]


def test_truncated_file_is_one_clear_line(tmp_path):
    path = tmp_path / "v.parquet"
    ids = [f"p{i}" for i in range(1000)]
    write(path, ids).finish(keep(ids))
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes(len(whole) // 2) + whole[100 + len(whole) // 2 :])
    with pytest.raises(UserError, match="not a readable vectors table"):
        read(path)


def test_search_equals_a_full_sort(tmp_path):
    path = tmp_path / "v.parquet"
    ids = [f"p{i}" for i in range(2 * module.ROWS + 100)]
    write(path, ids).finish(keep(ids))
    queries = vectors_of(["one", "two"])
    found = search(path, queries, k=5, encoder_id="e")
    assert found.columns == ["query", "rank", "product_id", "score"]
    items = vectors_of(ids)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    order = np.argsort(-(queries @ items.T), axis=1)[:, :5]
    assert found["product_id"].to_list() == [ids[row] for row in order.reshape(-1)]
    assert found["rank"].to_list() == [1, 2, 3, 4, 5] * 2
    assert search(path, queries[1], k=5)["product_id"].to_list() == [ids[row] for row in order[1]]


def test_search_for_more_than_there_is(tmp_path):
    path = tmp_path / "v.parquet"
    write(path, ["a", "b"]).finish(keep(["a", "b"]))
    assert sorted(search(path, np.ones(DIM), k=1000)["product_id"]) == ["a", "b"]


def test_search_in_anyones_table(tmp_path):
    """Numbers for ids, no encoder, vectors of any length: the cosine decides."""
    vectors = np.array([[3, 0], [0.1, 0.1], [0, 9]], np.float32)
    table = pl.DataFrame({"product_id": [7, 8, 9], "vector": pl.Series(vectors, dtype=pl.Array(pl.Float32, 2))})
    table.write_parquet(tmp_path / "theirs.parquet")
    found = search(tmp_path / "theirs.parquet", np.array([1, 1]) / np.sqrt(2), 2)
    assert found["product_id"].to_list() == ["8", "7"]
    assert found["score"].to_list() == pytest.approx([1, np.sqrt(0.5)])
    with pytest.raises(UserError, match="column 'encoder' is missing"):
        search(tmp_path / "theirs.parquet", np.array([1, 0]), encoder_id="mine@1")


@pytest.mark.parametrize(("columns", "message"), [
    ({"product_id": [b"\xff"]}, "not a readable vectors table"),
    ({"vector": pl.Series([[]], dtype=pl.Array(pl.Float32, 0))}, "expected a fixed-size list of float32"),
    ({"vector": pl.Series([[np.nan, 1]], dtype=pl.Array(pl.Float32, 2))}, "NaN or infinity"),
    ({"product_id": ["a", "a"], "vector": pl.Series([[1, 0]] * 2, dtype=pl.Array(pl.Float32, 2))}, "several vectors of .* 'a'"),
])  # fmt: skip
def test_tables_that_cannot_be_searched(tmp_path, columns, message):
    good = {"product_id": ["a"], "vector": pl.Series([[1, 0]], dtype=pl.Array(pl.Float32, 2))}
    pl.DataFrame(good | columns).write_parquet(tmp_path / "theirs.parquet")
    with pytest.raises(UserError, match=message):
        search(tmp_path / "theirs.parquet", np.array([1, 0]))


def test_what_else_a_table_says_of_itself_does_not_matter(tmp_path):
    """Bytes that are no text in its metadata, numbers for encoder and hash."""
    table = pa.table({"product_id": [1], "vector": pa.array([[3e38, 0]], pa.list_(pa.float32(), 2)), "encoder": [7],
                      "content_hash": [8]}, metadata={b"note": b"\xff"})  # fmt: skip
    pq.write_table(table, tmp_path / "theirs.parquet")
    assert search(tmp_path / "theirs.parquet", np.array([1, 0]))["score"].to_list() == [1]
    assert module.existing(tmp_path / "theirs.parquet", "7").rows() == [("1", "8")]


def test_a_recipe_may_get_another_name(tmp_path):
    table = pl.DataFrame({"product_id": ["a"], "vector": pl.Series([[1, 0]], dtype=pl.Array(pl.Float32, 2)),
                          "encoder": ["old@12ab"], "content_hash": ["h"]})  # fmt: skip
    table.write_parquet(tmp_path / "vectors.parquet")
    assert len(search(tmp_path / "vectors.parquet", np.array([1, 0]), encoder_id="new@12ab")) == 1
    with pytest.raises(UserError, match="made by encoder 'old@12ab'"):
        search(tmp_path / "vectors.parquet", np.array([1, 0]), encoder_id="old@34cd")


def test_search_refuses_what_cannot_be_compared(tmp_path):
    path = tmp_path / "v.parquet"
    write(path, ["a"]).finish(keep(["a"]))
    with pytest.raises(UserError, match="4 dimensions, the query has 3"):
        search(path, np.ones(3))
    with pytest.raises(UserError, match="made by encoder 'e', the query by 'other'"):
        search(path, np.ones(4), encoder_id="other")
    write(path, []).finish(keep(["nothing"]))
    with pytest.raises(UserError, match="table is empty"):
        search(path, np.ones(4))


QUERIES = [("boots", None), (None, "a.jpg"), ("boots", "a.jpg"), ("a.jpg", None)]


def queries(rows, version="1"):
    schema = dict.fromkeys([*QUERY, "content_hash"], pl.String)
    return pl.DataFrame([(*row, f"{row}-{version}") for row in rows], schema, orient="row")


def query_writer(path, rows, version="1"):
    writer = VectorWriter(path, DIM, "e", QUERY)
    if rows:
        writer.write(queries(rows, version), vectors_of([str(row) for row in rows]))
    return writer


def test_queries_without_text_or_picture_are_told_apart(tmp_path):
    path = tmp_path / "q.parquet"
    done = query_writer(path, QUERIES).finish(queries(QUERIES))
    assert (done.rows, done.added, done.dropped) == (4, 4, 0)
    assert existing(path, "e", QUERY).equals(queries(QUERIES))
    current = pl.concat([queries(QUERIES[:2]), queries(QUERIES[2:3], "2")])
    done = query_writer(path, QUERIES[2:3], "2").finish(current)
    assert (done.rows, done.added, done.dropped) == (3, 1, 2)
    table = pl.read_parquet(path)
    assert table.schema == {
        "query_text": pl.String, "query_image": pl.String, "vector": pl.Array(pl.Float32, DIM), "encoder": pl.String,
        "content_hash": pl.String,
    }  # fmt: skip
    assert table.select(*QUERY, "content_hash").rows() == current.rows()
    np.testing.assert_array_equal(np.stack(table["vector"].to_numpy()), vectors_of([str(row) for row in QUERIES[:3]]))


def test_what_the_encoder_has_learnt_from_is_none_of_the_rows_but_of_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 1)  # by way of part files
    path, ids = tmp_path / "v.parquet", ["a", "b"]
    write(path, ids).finish(keep(ids))
    assert learnt_until(path) is None, "it is not known"
    for moment in (NO_BEHAVIOUR, datetime(2025, 6, 1, 12)):
        writer = VectorWriter(path, DIM, "e", learnt_until=moment)
        writer.write(keep(["c"]), vectors_of(["c"]))
        writer.finish(keep([*ids, "c"]))
        assert learnt_until(path) == moment
    assert pl.read_parquet_metadata(path)["learnt_until"] == "2025-06-01T12:00:00"
    pl.read_parquet(path).write_parquet(path)
    assert learnt_until(path) is None, "another program wrote it"
    pl.read_parquet(path).write_parquet(path, metadata={"learnt_until": "June"})
    with pytest.raises(UserError, match=r"v\.parquet: learnt_until is 'June'"):
        learnt_until(path)
    with pytest.raises(UserError, match="no such vectors table"):
        learnt_until(tmp_path / "absent.parquet")
