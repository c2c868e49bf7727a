"""The `attributes` of a product: one JSON object name → text, whatever shape the catalogue has them in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import polars as pl

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def gather(names: Sequence[str]) -> pl.Expr:
    """Columns (already text, null where empty) → canonical JSON objects; null where every column is null."""
    members = [_member(name) for name in names]
    present = pl.any_horizontal(pl.col(name).is_not_null() for name in names)
    body = pl.concat_str(members, separator=",", ignore_nulls=True)
    return pl.when(present).then(pl.lit("{") + body + pl.lit("}"))


def _member(name: str) -> pl.Expr:
    # few distinct values a column: encode each once
    value = pl.col(name).map_batches(_encode, pl.String)
    return pl.lit(_COMPACT(name) + ":") + value


def _encode(texts: pl.Series) -> pl.Series:
    distinct = texts.drop_nulls().unique()
    encoded = pl.Series([_COMPACT(text) for text in distinct], dtype=pl.String)
    return texts.replace_strict(distinct, encoded, default=None, return_dtype=pl.String)


def members(values: pl.Series) -> list[dict[str, str]]:
    """What canonical JSON objects hold; nothing where a product has none."""
    return [json.loads(text) if text else {} for text in values]


def joined(own: str, more: str) -> str:
    """Two canonical JSON objects in one; of two members with one name that of `own`."""
    members = json.loads(own)
    return _COMPACT(members | {name: text for name, text in json.loads(more).items() if name not in members})


def canonical(values: pl.Series) -> pl.Series:
    """Structs, maps (lists of key/value structs) or JSON texts → canonical JSON objects; null for what is neither.

    Canonical: no blanks between members, text values (lists joined by ", "), no nulls, the order that was given. An
    object without members becomes "{}".
    """
    return pl.Series(values.name, [_canonical(value) for value in values.to_list()], pl.String)


def _canonical(value: Any) -> str | None:
    try:
        value = json.loads(value) if isinstance(value, str) else value
        if isinstance(value, list) and all(isinstance(item, dict) and set(item) == {"key", "value"} for item in value):
            value = {str(item["key"]): item["value"] for item in value}
        if not isinstance(value, dict):
            return None
        members = {str(name): _plain(member) for name, member in value.items() if not _nothing(member)}
        text = _COMPACT({name: text for name, text in members.items() if text})
        text.encode()
    except (ValueError, RecursionError):  # not JSON, half a character, too deep
        return None
    return text


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value if not _nothing(item))
    return json.dumps(value, ensure_ascii=False, default=str)


def _nothing(value: Any) -> bool:
    """Whether it is null, or NaN, as pandas writes it."""
    return value is None or value != value
