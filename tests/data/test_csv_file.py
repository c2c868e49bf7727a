"""Reading CSV agrees with Python's reader on good files, and on bad ones sets lines aside without losing any."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmoon.data.csv_file import ROW, read_csv
from openmoon.errors import UserError

FIELD = st.text(alphabet='ab ",;é\n12', max_size=8)


def read(path: Path, text: str | bytes) -> tuple[pl.DataFrame, pl.DataFrame]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(path)


@given(st.lists(st.tuples(st.text("abc", min_size=1), FIELD, FIELD), max_size=12), st.sampled_from(",;\t|"))
def test_written_by_pythons_csv_reads_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], separator: str
) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator="\n")
    writer.writerows([("id", "title", "note"), *rows])
    frame, broken = read(tmp_path_factory.mktemp("csv") / "t.csv", buffer.getvalue())
    assert broken.is_empty()
    assert frame.columns[:3] == ["id", "title", "note"]
    assert frame.drop(ROW).rows() == rows
    assert frame[ROW].to_list() == list(range(len(rows)))


@given(st.lists(st.text(alphabet='ab",1 ', min_size=1, max_size=12).filter(lambda line: line.strip()), max_size=15))
def test_arbitrary_lines_are_all_accounted_for(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    frame, broken = read(tmp_path_factory.mktemp("csv") / "t.csv", "x,y\n" + "\n".join(lines))
    rows = sorted(frame[ROW].to_list() + broken[ROW].to_list())
    assert rows == list(range(len(rows)))
    # a record may span lines, but every line is in one: joined, the records hold all text that was there
    held = sum(len(text.split("\n")) for text in broken["record"]) + sum(
        1 + (x or "").count("\n") + (y or "").count("\n") for x, y, _ in frame.select("x", "y", ROW).iter_rows()
    )
    assert held == len(lines)


def test_a_stray_quote_costs_its_own_line_only(tmp_path: Path) -> None:
    lines = ["id,title,colour", '1,5" heel,red', '2,"open,red', "3,plain,blue", '4,6" heel,red', ""]
    frame, broken = read(tmp_path / "t.csv", "\n".join(lines))
    assert frame["id"].to_list() == ["1", "3", "4"]
    assert frame["title"].to_list() == ['5" heel', "plain", '6" heel']
    assert broken.rows() == [(1, "its quotes do not balance", '2,"open,red')]


def test_unquoted_commas_and_short_lines_are_set_aside(tmp_path: Path) -> None:
    frame, broken = read(tmp_path / "t.csv", "id,title\r\n1,a\r\n2,b,c\r\n\r\n3\r\n4,d\r\n")
    assert frame.rows() == [("1", "a", 0), ("4", "d", 3)]
    assert broken.rows() == [
        (1, "it has 3 fields, the header has 2", "2,b,c"), (2, "it has 1 fields, the header has 2", "3"),
    ]  # fmt: skip


def test_byte_order_mark_and_header_without_rows(tmp_path: Path) -> None:
    frame, broken = read(tmp_path / "t.csv", b"\xef\xbb\xbfid,title\n")
    assert frame.columns == ["id", "title", ROW]
    assert frame.is_empty()
    assert broken.is_empty()


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"", "is empty"), (b"id,title\n1,caf\xe9\n", "not UTF-8"), (b"id,id\n1,2\n", "'id' more than once")],
)
def test_unusable_files(tmp_path: Path, text: bytes, message: str) -> None:
    with pytest.raises(UserError, match=f"t.csv.*{message}"):
        read(tmp_path / "t.csv", text)


def test_what_cannot_be_opened_is_an_error_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match=r"folder\.csv: cannot be read \(Is a directory\)"):
        read_csv(tmp_path / "folder.csv")

    def forbidden(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", forbidden)
    with pytest.raises(UserError, match=r"mine\.csv: cannot be read \(Permission denied\)"):
        read_csv(tmp_path / "mine.csv")


@pytest.mark.parametrize("before", ["\n", " \n\n", "sep=;\n", "SEP=;\n", "\n\nsep=;\n"])
def test_what_may_stand_before_the_header(tmp_path: Path, before: str) -> None:
    frame, broken = read(tmp_path / "t.csv", f"{before}id;title\n1;a\n")
    assert frame.select("id", "title").rows() == [("1", "a")]
    assert broken.is_empty()
