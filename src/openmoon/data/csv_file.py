"""CSV as people have it: a line that does not fit the header is set aside with its reason, never dropped or guessed."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from openmoon.errors import UserError

ROW = "__row"  # position of a record in its source, 0-based, header and blank lines not counted
SEPARATORS = (",", ";", "\t", "|")
LONGEST_RECORD = 200  # lines; a quote that is not closed within them is a stray one
_EXCEL = {f"sep={separator}" for separator in SEPARATORS}  # a first line of its own
_BLANK_START = re.compile(r"(?:[^\S\n]*\n)*")
csv.field_size_limit(2**31 - 1)  # descriptions may be longer than the default 128 KiB


def read_csv(path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read a UTF-8 CSV; the separator (comma, semicolon, tab or bar) is the one that the header uses most.

    Returns the records, all columns as text, plus `ROW`; and the broken ones: `ROW`, `reason`, `record` (their text).
    Every record of the file is in exactly one of them. Quoted fields may span lines. Records without quotes are split
    by polars, only those with quotes by Python. Raises `UserError` for a file that cannot be read, is not text or has no usable
    header.
    """
    lines = _lines(path)
    at, separator, header = _header(path, lines)
    records, unbalanced = _records(lines[at + 1 :], separator, len(header))
    quoted = records["text"].str.contains('"', literal=True)
    plain, odd_plain = _split_plain(records.filter(~quoted), separator, header)
    rich, odd_rich = _split_quoted(records.filter(quoted), separator, header)
    broken = pl.concat([unbalanced, odd_plain, odd_rich]).sort(ROW)
    return pl.concat([plain, rich]).sort(ROW), broken.rename({"text": "record"})


def csv_columns(path: Path) -> list[str]:
    """The names in the header of a file that `read_csv` can read."""
    with path.open(encoding="utf-8-sig") as file:
        return _header(path, (line.rstrip("\n") for line in file))[2]


def _lines(path: Path) -> pl.Series:
    try:
        text = path.read_text(encoding="utf-8-sig")  # every kind of line end becomes "\n"
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}: {error.reason}); save it as UTF-8.") from error
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); expected a CSV file that you may read."
        ) from error
    if not text.strip():
        raise UserError(f"{path}: is empty; expected a header line with column names.")
    # split inside polars: one Python string per line would cost several times the file's size
    return pl.Series([text[_BLANK_START.match(text).end() :]]).str.split("\n").explode()  # type: ignore[union-attr]


def _header(path: Path, lines: Iterable[str]) -> tuple[int, str, list[str]]:
    """At which of the lines it stands, the separator, and the names."""
    first = ""
    for at, line in enumerate(lines):
        if line.strip() and (first or line.lower() not in _EXCEL):
            return at, *_names(path, line)
        first = first or line.strip()
    raise UserError(f"{path}: holds nothing but {first!r}; expected a header line with column names.")


def _names(path: Path, line: str) -> tuple[str, list[str]]:
    separator = max(SEPARATORS, key=line.count)
    names = [name.strip() or f"column_{i}" for i, name in enumerate(next(csv.reader([line], delimiter=separator)))]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{path}: the header names {twice[0]!r} more than once; rename one of the columns.")
    return separator, names


def _records(lines: pl.Series, separator: str, width: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines → records (a quoted field may join several lines); and the lines whose quotes never close."""
    whole = re.compile(_record_pattern(separator))
    # a line is left open when it has a quote and is no whole record by itself
    is_open = lines.str.contains('"', literal=True) & ~lines.str.contains(f"^(?:{whole.pattern})$")
    joined: dict[int, str] = {}
    consumed: set[int] = set()
    texts = lines.to_list() if is_open.any() else []
    for start in is_open.arg_true().to_list():
        if start in consumed:
            continue
        tail = texts[start : start + LONGEST_RECORD]
        for length in range(2, len(tail) + 1):
            if '"' in tail[length - 1] and whole.fullmatch(text := "\n".join(tail[:length])):
                if len(next(csv.reader([text], delimiter=separator))) == width:
                    joined[start] = text
                    consumed.update(range(start + 1, start + length))
                break
    index = pl.Series("line", range(len(lines)), pl.Int64)
    frame = pl.DataFrame([index, lines.alias("text"), is_open.alias("open")]).filter(
        ~pl.col("line").is_in(list(consumed)), (pl.col("text").str.strip_chars() != "")
    )
    frame = frame.with_columns(
        pl.col("line").replace_strict(joined, default=None, return_dtype=pl.String).alias("joined")
    ).with_row_index(ROW)
    frame = frame.with_columns(pl.col(ROW).cast(pl.Int64), pl.coalesce("joined", "text").alias("text"))
    unbalanced = pl.col("open") & pl.col("joined").is_null()
    reason = pl.lit("its quotes do not balance").alias("reason")
    return frame.filter(~unbalanced).select(ROW, "text"), frame.filter(unbalanced).select(ROW, reason, "text")


def _record_pattern(separator: str) -> str:
    """Fields between separators; a quote opens a quoted field only at the field's start (12" elsewhere is an inch)."""
    sign = re.escape(separator)
    field = rf'(?:"(?:[^"]|"")*"|[^"{sign}\n][^{sign}\n]*|)'
    return f"{field}(?:{sign}{field})*"


def _split_plain(records: pl.DataFrame, separator: str, header: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    width = pl.col("text").str.count_matches(separator, literal=True) + 1
    good = records.filter(width == len(header))
    fields = good["text"].str.split_exact(separator, len(header) - 1).struct.rename_fields(list(header)).struct.unnest()
    return fields.with_columns(good[ROW]), _misfits(records.with_columns(width=width), len(header))


def _split_quoted(records: pl.DataFrame, separator: str, header: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    texts = records["text"].to_list()
    rows = list(csv.reader(texts, delimiter=separator))
    widths = pl.Series("width", [len(row) for row in rows], pl.UInt32)
    fit = [row for row in rows if len(row) == len(header)]
    fields = pl.DataFrame(fit, dict.fromkeys(header, pl.String), orient="row")
    good = records.filter(widths == len(header))
    return fields.with_columns(good[ROW]), _misfits(records.with_columns(widths), len(header))


def _misfits(records: pl.DataFrame, width: int) -> pl.DataFrame:
    reason = pl.format(f"it has {{}} fields, the header has {width}", "width").alias("reason")
    return records.filter(pl.col("width") != width).select(ROW, reason, "text")
