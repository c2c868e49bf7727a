"""The store keeps what was committed, nothing else, whatever kills an append."""

from __future__ import annotations

import json
import multiprocessing
import re
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmoon.data.store import RaggedStore
from openmoon.errors import UserError


def rows_of(store: RaggedStore, key: str) -> np.ndarray:
    starts, counts = store.locate([key])
    return store.rows[starts[0] : starts[0] + counts[0]]


@given(st.lists(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 4)), max_size=4), max_size=5))
def test_behaves_like_a_dict_that_keeps_the_first(tmp_path_factory: pytest.TempPathFactory, appends: list) -> None:
    folder = tmp_path_factory.mktemp("store")
    store, expected, value = RaggedStore(folder, (2,), np.float32), {}, 0.0
    for batch in appends:
        arrays = []
        for key, count in batch:
            arrays.append(np.full((count, 2), value, np.float32))
            value += 1
            if key not in expected and key not in [k for k, _ in batch[: len(arrays) - 1]]:
                expected[key] = arrays[-1]
        keys = [key for key, _ in batch]
        # within one append the last array of a repeated key is as good as the first: give them equal ones
        arrays = [expected[key] for key in keys]
        store.append(keys, arrays)
    for opened in (store, RaggedStore(folder, (2,), np.float32)):
        assert len(opened) == len(expected)
        assert opened.missing([*"abcdefgh", "a"]) == [key for key in "abcdefgh" if key not in expected]
        for key, array in expected.items():
            np.testing.assert_array_equal(rows_of(opened, key), array)


def test_killed_append_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    store = RaggedStore(tmp_path, (3,), np.uint8)
    store.append(["a"], [np.full((2, 3), 7, np.uint8)])
    with open(tmp_path / "rows.bin", "ab") as file:
        file.write(b"\x01" * 4)  # killed while writing rows
    with open(tmp_path / "index.jsonl", "ab") as file:
        file.write(b'{"start":2,"keys":["b"],"cou')  # killed while writing the line
    again = RaggedStore(tmp_path, (3,), np.uint8)
    assert again.missing(["a", "b"]) == ["b"]
    again.append(["b"], [np.full((1, 3), 9, np.uint8)])
    final = RaggedStore(tmp_path, (3,), np.uint8)
    assert rows_of(final, "a").tolist() == [[7, 7, 7]] * 2
    assert rows_of(final, "b").tolist() == [[9, 9, 9]]


def test_another_shape_is_refused(tmp_path: Path) -> None:
    RaggedStore(tmp_path, (3,), np.uint8)
    with pytest.raises(UserError, match=r"index\.jsonl.*delete the folder"):
        RaggedStore(tmp_path, (4,), np.uint8)


def test_wrong_rows_and_unknown_keys_are_errors(tmp_path: Path) -> None:
    store = RaggedStore(tmp_path, (3,), np.uint8)
    with pytest.raises(ValueError, match="shape"):
        store.append(["a"], [np.zeros((1, 4), np.uint8)])
    with pytest.raises(KeyError):
        store.locate(["a"])
    assert store.rows.shape == (0, 3)


def test_full_disk_is_one_clear_line_and_keeps_what_was_there(tmp_path: Path) -> None:
    store = RaggedStore(tmp_path, (1024,), np.uint8)
    store.append(["a"], [np.ones((1, 1024), np.uint8)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot be written.*untouched"):
            store.append(["b"], [np.ones((16, 1024), np.uint8)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    store.append(["c"], [np.full((1, 1024), 3, np.uint8)])
    again = RaggedStore(tmp_path, (1024,), np.uint8)
    assert again.missing(["a", "b", "c"]) == ["b"]
    assert (rows_of(again, "c") == 3).all()


def test_kill_9_while_appending(tmp_path: Path) -> None:
    writer = multiprocessing.get_context("fork").Process(target=append_forever, args=(tmp_path,))
    writer.start()
    while not (tmp_path / "index.jsonl").exists() or (tmp_path / "index.jsonl").stat().st_size < 2000:
        time.sleep(0.001)
    writer.kill()
    writer.join()
    store = RaggedStore(tmp_path, (64,), np.int64)
    assert len(store) > 10
    assert all((rows_of(store, str(i)) == i).all() for i in range(len(store)))


def append_forever(folder: Path) -> None:
    store = RaggedStore(folder, (64,), np.int64)
    for i in range(10**9):
        store.append([str(i)], [np.full((1 + i % 5, 64), i)])


def append_many(folder: Path, name: str) -> None:
    store = RaggedStore(folder, (1,), np.int64)
    for i in range(50):
        store.append([f"{name}{i}"], [np.array([[hash_of(name, i)]])])


def hash_of(name: str, i: int) -> int:
    return sum(name.encode()) * 1000 + i


def test_two_processes_may_append(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=append_many, args=(tmp_path, name)) for name in ("left", "right")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    store = RaggedStore(tmp_path, (1,), np.int64)
    assert len(store) == 100
    for name in ("left", "right"):
        assert all(rows_of(store, f"{name}{i}")[0, 0] == hash_of(name, i) for i in range(50))
    assert all(json.loads(line) for line in (tmp_path / "index.jsonl").read_text().splitlines())


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/store: cannot be written \(.*\)\. .* another cache folder"):
        RaggedStore(tmp_path / "file" / "store", (2,), np.float32)


def test_rows_that_got_lost_are_told_of(tmp_path: Path) -> None:
    RaggedStore(tmp_path, (2,), np.float32).append(["a"], [np.ones((3, 2), np.float32)])
    with open(tmp_path / "rows.bin", "r+b") as file:
        file.truncate(20)
    with pytest.raises(UserError, match=r"rows\.bin: has 20 bytes, 24 are in its index; .* delete the folder"):
        RaggedStore(tmp_path, (2,), np.float32)


@pytest.mark.parametrize("line", ["{", "[1]", '{"start": 0}', "\u0000"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_damaged_index_is_told_of(tmp_path: Path, place: int, line: str) -> None:
    RaggedStore(tmp_path, (2,), np.float32).append(["a"], [np.zeros((1, 2))])
    lines = (tmp_path / "index.jsonl").read_text().splitlines()
    lines[place] = line
    (tmp_path / "index.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"index.jsonl: holds .* delete the folder"):
        RaggedStore(tmp_path, (2,), np.float32)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="tells what is mapped on Linux alone")
def test_what_is_taken_is_not_held(tmp_path: Path) -> None:
    store = RaggedStore(tmp_path, (1024,), np.float32)
    store.append(["a"], [np.arange(2**20, dtype=np.float32).reshape(-1, 1024)])

    def held() -> int:
        mappings = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
        return sum(int(re.search(r"Rss:\s+(\d+)", one)[1]) for one in mappings if str(tmp_path) in one)  # type: ignore[index]

    rows = np.array([[0, 1023], [5, 5]])
    np.testing.assert_array_equal(store.take(rows), np.arange(2**20, dtype=np.float32).reshape(-1, 1024)[rows])
    assert held() == 0
    assert store.rows.sum() > 0
    assert held() > 0, "or nothing is told here"
