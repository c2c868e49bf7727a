"""Columns that grow in files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from openmoon.ctr.columns import Columns
from openmoon.errors import UserError


def test_what_was_appended_is_there_and_no_file_is(tmp_path: Path) -> None:
    columns = Columns(tmp_path / "new")
    for start in range(0, 9, 3):
        columns.append(a=np.arange(start, start + 3), b=np.arange(6.0).astype(np.float32)[::2])
        np.testing.assert_array_equal(columns["a"], np.arange(start + 3))
    assert columns["b"].dtype == np.float32
    assert columns["b"].tolist() == [0, 2, 4] * 3
    assert not columns["a"].flags.writeable
    assert not list((tmp_path / "new").iterdir())


def test_a_column_may_be_empty(tmp_path: Path) -> None:
    columns = Columns(tmp_path)
    columns.append(a=np.empty(0, np.int8))
    assert columns["a"].dtype == np.int8
    assert columns["a"].shape == (0,)


def test_a_column_keeps_its_type(tmp_path: Path) -> None:
    columns = Columns(tmp_path)
    columns.append(a=np.arange(3))
    with pytest.raises(TypeError, match="column a is of int64, not of float64"):
        columns.append(a=np.arange(3.0))


def test_records_are_a_column_too(tmp_path: Path) -> None:
    rows, columns = np.array([(1, 0.5), (2, 1.5)], [("a", "<i4"), ("b", "<f4")]), Columns(tmp_path)
    columns.append(rows=rows)
    columns.append(rows=rows[::-1])
    assert columns["rows"].tolist() == [(1, 0.5), (2, 1.5), (2, 1.5), (1, 0.5)]


def test_too_many_open_files_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dir: Path) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(UserError, match=r"cannot write the log's columns there \(Too many open files\)"):
        Columns(tmp_path).append(a=np.arange(3))


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: Path("/dev/full").open("r+b"))  # noqa: SIM115
    with pytest.raises(UserError, match=f"{tmp_path}: cannot write the log's columns there .*{os.strerror(errno.ENOSPC)}"):
        Columns(tmp_path).append(a=np.arange(3))
