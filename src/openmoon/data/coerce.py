"""Foreign values → the types of our tables, column by column; what cannot be read becomes null and is reported."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

DATETIME = pl.Datetime("us")
LIST = pl.List(pl.String)
EXPECTED: dict[pl.DataType, str] = {
    pl.String(): "text", pl.Int32(): "a whole number", pl.Int64(): "a whole number", pl.Float64(): "a number",
    DATETIME: "a time (ISO 8601, or epoch seconds or milliseconds)", LIST: "texts (a list, JSON, or a|b|c)",
}  # fmt: skip
_ISO = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(\.\d{1,9})?)?\s*(?:Z|UTC|([+-])(\d{2})(?::?(\d{2}))?)?$"


def clean(column: pl.Expr, found: pl.DataType) -> pl.Expr:
    """The source value with one spelling of "nothing": blank text and NaN become null, categories become text."""
    if found.is_float():
        return column.fill_nan(None)
    if isinstance(found, pl.Binary):
        return column.map_elements(_decoded, pl.String, skip_nulls=True)
    if found == pl.String or isinstance(found, pl.Categorical | pl.Enum | pl.Null):
        text = column.cast(pl.String).str.strip_chars()
        return pl.when(text != "").then(text)
    return column


def coerce(column: pl.Expr, found: pl.DataType, wanted: pl.DataType) -> pl.Expr | None:
    """`column`, cleaned and of type `found`, as `wanted`; null where a value does not fit; None where no value can."""
    text = found == pl.String or isinstance(found, pl.Categorical | pl.Enum | pl.Null | pl.Binary)
    if wanted == LIST:
        return _lists(column, found, text)
    if found.is_nested() or found == pl.Object or isinstance(found, pl.Duration):
        return None
    if wanted == pl.String:
        return _text(column, found)
    if wanted == DATETIME:
        return _time(column, found, text)
    number = column.cast(pl.Float64, strict=False) if text or found.is_numeric() or found == pl.Boolean else None
    if number is None:
        return None
    if wanted == pl.Float64:
        return pl.when(number.is_finite()).then(number)
    exact = column.cast(wanted, strict=False) if text or found.is_integer() else None
    whole = pl.when(number == number.floor()).then(number).cast(wanted, strict=False)
    return whole if exact is None else pl.coalesce(exact, whole)


def _text(column: pl.Expr, found: pl.DataType) -> pl.Expr:
    """Whole floats lose their ".0": a column of integer ids with gaps comes from pandas as floats."""
    if not found.is_float():
        return column.cast(pl.String)
    whole = (column == column.floor()) & (column.abs() < 2**53)
    return pl.when(whole).then(column.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(column.cast(pl.String))


def _time(column: pl.Expr, found: pl.DataType, text: bool) -> pl.Expr | None:
    """Naive times in UTC, of the years that Python and ISO 8601 know."""
    moment = _moment(column, found, text)
    return None if moment is None else pl.when(moment.dt.year().is_between(1, 9999)).then(moment)


def _moment(column: pl.Expr, found: pl.DataType, text: bool) -> pl.Expr | None:
    if isinstance(found, pl.Datetime):
        return (column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if found.time_zone else column).cast(
            DATETIME
        )
    if found == pl.Date:
        return column.cast(DATETIME)
    if found.is_numeric():
        return _epoch(column.cast(pl.Float64)) if found.is_float() else _day_or_epoch(column.cast(pl.Int64, strict=False))
    if not text:
        return None
    whole = column.cast(pl.Int64, strict=False)
    number = pl.when(whole.is_null()).then(column.cast(pl.Float64, strict=False))
    return pl.coalesce(_iso(column), _day_or_epoch(whole), _epoch(number))


def _day_or_epoch(number: pl.Expr) -> pl.Expr:
    """20250131 is a day, and no moment in August 1970; the smallest integer is how "no time" is stored."""
    number = pl.when(number != -(2**63)).then(number)
    day = number.cast(pl.String).str.to_datetime("%Y%m%d", time_unit="us", strict=False)
    return pl.when(number.is_between(19_000_000, 20_999_999)).then(day).otherwise(_epoch(number))


def _epoch(number: pl.Expr) -> pl.Expr:
    """Seconds (up to the year 5138), milli-, micro- or nanoseconds since 1970, told apart by their size."""
    size = number.abs()
    scaled = (
        pl.when(size < 1e11).then(number * 1_000_000)
        .when(size < 1e14).then(number * 1_000)
        .when(size < 1e17).then(number)
        .otherwise(number // 1_000)
    )  # fmt: skip
    return scaled.cast(pl.Int64, strict=False).cast(DATETIME)


def _iso(column: pl.Expr) -> pl.Expr:
    groups = column.str.extract_groups(_ISO)
    part = {i: groups.struct.field(str(i)) for i in range(1, 8)}
    clock = part[2].fill_null("00:00") + part[3].fill_null(":00") + part[4].fill_null(".0")
    local = (part[1] + " " + clock).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
    minutes = part[6].cast(pl.Int64) * 60 + part[7].fill_null("0").cast(pl.Int64)
    offset = pl.duration(minutes=pl.when(part[5] == "-").then(-minutes).otherwise(minutes).fill_null(0))
    return local - offset


def _lists(column: pl.Expr, found: pl.DataType, text: bool) -> pl.Expr | None:
    if isinstance(found, pl.List | pl.Array):
        plain = not found.inner.is_nested() and not isinstance(found.inner, pl.Binary | pl.Duration | pl.Object)
        return column.cast(LIST, strict=False) if plain else None
    return column.map_elements(_list_of_texts, LIST, skip_nulls=True) if text else None


def _list_of_texts(value: str) -> list[str] | None:
    if not value.startswith("["):
        return [part.strip() for part in value.split("|") if part.strip()]
    try:
        items: Any = json.loads(value)
        texts = [str(item) for item in items]
        "".join(texts).encode()
    except (ValueError, RecursionError):  # not JSON, half a character, too deep
        return None
    return texts


def _decoded(value: bytes) -> str | None:
    """Bytes as text; what is not UTF-8 stays visible as a value that can be rejected."""
    return value.decode(errors="replace").strip() or None
