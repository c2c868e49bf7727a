"""Files that are whole or absent, and what killed writes leave."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openmoon.errors import UserError
from openmoon.io import STALE, alone, atomic_path, read_lines, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")

    def breaks() -> None:
        with atomic_path(tmp_path / "a.txt") as out:
            out.write_text("half")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        breaks()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_leftovers_of_killed_writes_are_swept_and_live_ones_kept(tmp_path: Path) -> None:
    dead, folder, live, other = (tmp_path / name for name in (".a.b.1.tmp", ".a.b.2.old", ".a.b.3.tmp", ".ab.4.tmp"))
    folder.mkdir()
    for file in (dead, folder / "x", live, other):
        file.write_text("half")
    long_ago = time.time() - STALE - 60
    for path in (dead, folder, other):
        os.utime(path, (long_ago, long_ago))
    write_text(tmp_path / "a.b", "whole")
    assert {p.name for p in tmp_path.iterdir()} == {"a.b", live.name, other.name}


@pytest.mark.parametrize("name", [".", "..", "/", "a/.."])
def test_a_place_without_a_name_of_its_own_is_not_written(name: str) -> None:
    with pytest.raises(UserError, match="is a folder that is there"), atomic_path(Path(name)):
        pass


def test_one_process_in_a_folder(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from openmoon.io import alone\n"
    code += f"with alone(Path({str(tmp_path)!r})): print('in', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        with pytest.raises(UserError, match="another process works here"), alone(tmp_path):
            raise AssertionError("it was let in")
    finally:
        other.kill()
        other.wait()
    with alone(tmp_path):
        pass


def test_lists_that_are_not_utf_8_are_told_of(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text(" käse \n\n milk,1\n", encoding="utf-8")
    assert read_lines(path) == ["käse", "milk,1"]
    path.write_text("käse\n", encoding="latin-1")
    with pytest.raises(UserError, match=r"train\.txt: not UTF-8 at byte 1; save it as UTF-8"):
        read_lines(path)
