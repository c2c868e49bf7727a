"""What the readers of public layouts share: JSON records as a table of texts, pictures in a folder, bounded tables."""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from openmoon.data.importers.output import require_columns
from openmoon.errors import UserError
from openmoon.evaluation.benchmark.labels import TAUGHT

MOST_TAUGHT = 20_000  # train examples of a public suite; more change a linear probe little
_SHARD = re.compile(r"-\d+-of-(\d+)")
SUFFIXES = (".jsonl", ".json")
MOST_ATTRIBUTES = 12  # of those that most examples have


def find_file(folder: Path, names: Sequence[str], what: str) -> Path:
    """The first of the files `names` that is there; `UserError` naming `what` it is when there is none."""
    for path in (folder / name for name in names):
        if path.is_file():
            return path
    raise _missing(folder, what, names)


def find_shards(folder: Path, split: str) -> list[Path]:
    """The .jsonl files, or where there are none the .json files, with the word `split` in their names: one, or all parts of one
    that is cut as in test-00000-of-00004.jsonl; [] where there is none. `UserError` when there are several others, of which none
    can be told to be the right one."""
    word, what = re.compile(rf"(?<![a-z]){split}(?![a-z])", re.IGNORECASE), f"{split} file"
    named = [path for path in sorted(folder.glob("*")) if word.search(path.stem) and path.is_file()]
    found = next((some for end in SUFFIXES if (some := [path for path in named if path.suffix == end])), [])
    if not found or (len(found) == 1 and not _SHARD.search(found[0].name)):
        return found
    whole = {_SHARD.sub("", path.name) for path in found}
    counts = {match.group(1) if (match := _SHARD.search(path.name)) else "" for path in found}
    if len(whole) > 1 or len(counts) > 1 or "" in counts:
        raise UserError(f"{folder}: several files may be the {what}: {', '.join(path.name for path in found)}; keep one.")
    if len(found) != int(counts.pop()):
        raise UserError(f"{folder}: of the {what} there are {len(found)} parts, {found[0].name} …, not all; fetch the others.")
    return found


def require_shards(folder: Path, split: str) -> list[Path]:
    """`find_shards`, which have to be there; `UserError` otherwise."""
    if found := find_shards(folder, split):
        return found
    raise _missing(folder, f"{split} file", [f"*{split}*{end}" for end in SUFFIXES])


def _missing(folder: Path, what: str, names: Sequence[str]) -> UserError:
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) if folder.is_dir() else "no such folder"
    return UserError(f"{folder}: found no {what} ({' or '.join(names)}); there are: {there or 'no files'}.")


def read_records(path: Path, required: Sequence[str], optional: Sequence[str] = (), most: int | None = None) -> pl.DataFrame:
    """The fields of JSON records as strings: lists and objects as JSON, null where a record has no such field.

    `path` is a .jsonl file, a JSON list of objects, or one object of them by id (which becomes `item_id`). With `most`, about
    as many lines of a .jsonl are read, evenly spread. Raises `UserError` naming the file and the line that is not JSON, or
    the field that no record has with those that were found.
    """
    names = [*required, *optional]
    columns: dict[str, list[str | None]] = {name: [] for name in names}
    found: dict[str, None] = {}
    for record in _records(path, most):
        found.update(dict.fromkeys(record))
        for name in names:
            columns[name].append(_text(record.get(name)))
    require_columns(pl.DataFrame(schema=dict.fromkeys(found, pl.String)), path, *required)
    return pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))


def picture_paths(folder: Path, names: pl.Series) -> pl.Series:
    """Full paths of pictures: of each name, or address, what lies at `folder`/name or `folder`/images/<last part>; else null."""
    known = {path.name: str(path) for path in (folder / "images").rglob("*") if path.is_file()}
    return pl.Series("image", [None if name is None else _picture(folder, known, name) for name in names], pl.String)


def attribute_table(found: Sequence[Mapping[str, str]]) -> tuple[pl.DataFrame, list[str]]:
    """One column for each of the attributes that a probe can learn most examples of, category excepted, and a note on those left
    out. A value that fewer than `TAUGHT` examples have cannot be learnt: numbers and addresses of products are no attributes."""
    values: dict[str, Counter[str]] = defaultdict(Counter)
    for one in found:
        for name, value in one.items():
            values[name][value] += 1
    learnable = Counter({name: sum(n for n in counts.values() if n >= TAUGHT) for name, counts in values.items()
                         if name != "category"})  # fmt: skip
    kept = [name for name, examples in learnable.most_common(MOST_ATTRIBUTES) if examples]
    columns = {name: pl.Series(name, [one.get(name) for one in found], pl.String) for name in kept}
    left = len(learnable) - len(kept)
    return pl.DataFrame(columns), [f"{left:,} attributes are left out, whose values are rarer"] if left else []


def once(records: pl.DataFrame, by: Sequence[str], what: str) -> tuple[pl.DataFrame, list[str]]:
    """The first of the records that have the same `by`, and a note on how many of the others say something else."""
    kept = records.unique(by, keep="first", maintain_order=True)
    others = records.unique().height - kept.height
    return kept, [f"{others:,} {what} are left out: an earlier one has their {' and '.join(by)}"] if others else []


def sampled(train: pl.DataFrame) -> pl.DataFrame:
    """At most `MOST_TAUGHT` rows, a fixed random sample in order."""
    if train.height <= MOST_TAUGHT:
        return train
    rows = pl.int_range(train.height, eager=True).sample(MOST_TAUGHT, seed=0).sort()
    return train[rows]


def _records(path: Path, most: int | None) -> Iterator[dict[str, Any]]:
    try:
        if path.suffix == ".jsonl":
            yield from _lines(path, most)
            return
        whole = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({' '.join(str(error).split())}).") from error
    if isinstance(whole, dict) and all(isinstance(one, dict) for one in whole.values()):
        whole = [{"item_id": name, **one} for name, one in whole.items()]
    if not isinstance(whole, list) or not all(isinstance(one, dict) for one in whole):
        raise UserError(f"{path}: expected a JSON list of objects, or one object of objects by id.")
    yield from whole


def _lines(path: Path, most: int | None) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as lines:
        total = sum(1 for _ in lines)
    step = max(1.0, total / most) if most else 1.0
    taken = 0.0
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if number <= taken or not line.strip():
                continue
            taken += step
            try:
                record = json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}: line {number} is not JSON ({error}).") from error
            if not isinstance(record, dict):
                raise UserError(f"{path}: line {number} is {type(record).__name__}, expected an object.")
            yield record


def _text(value: Any) -> str | None:
    """A member as text; half a character, which JSON can hold and a table cannot, becomes a question mark."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.strip().encode(errors="replace").decode() or None


def _picture(folder: Path, known: Mapping[str, str], name: str) -> str | None:
    if "://" not in name and os.path.isfile(folder / name):  # False, unlike Path.is_file, where no file can be called so
        return str(folder / name)
    return known.get(name.split("?")[0].rstrip("/").rsplit("/", 1)[-1])
