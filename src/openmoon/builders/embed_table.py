"""One table of vectors, streaming: products or queries in, rows out; only what is new or changed is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from openmoon.config.data import Precision
from openmoon.console import bar, console, plain
from openmoon.data.images import ImageRejected, read_file
from openmoon.data.tables import read_parquet
from openmoon.errors import UserError
from openmoon.io import atomic_path, content_hash
from openmoon.models.encode import encode_stream
from openmoon.models.encoder import ProductEncoder
from openmoon.models.inputs import Input
from openmoon.serving.vectors import PRODUCT, QUERY, Finished, VectorWriter, existing

CHUNK = 512  # rows whose picture files are in memory at once
Key = tuple[str | None, ...]
Rows = list[tuple[str | None, ...]]
"""Keys with one more value each: a content hash, or the reason why something cannot be used."""
PROBLEMS = (*PRODUCT, *QUERY, "reason")


class Embedder(NamedTuple):
    """The encoder, what the tables call it, the last event that taught it (`openmoon.learnt`), and how it is asked."""

    encoder: ProductEncoder
    name: str
    learnt_until: datetime | None
    batch_size: int
    precision: Precision


@dataclass(frozen=True)
class Shown:
    """What is embedded: `rows` holds the columns `keys`, and text and image (as the tables name it), of which any may be null.

    `noun` says in messages what it is, and `nothing` is the reason given for a row of which nothing is left.
    """

    noun: str
    keys: Sequence[str]
    rows: pl.DataFrame
    nothing: str


class _Source(NamedTuple):
    """What is embedded for one row, and the hash that tells whether it changed."""

    key: Key
    input: Input
    content_hash: str


def embed_table(path: Path, shown: Shown, locate: Callable[[str], Path], by: Embedder, problems: Path) -> Finished:
    """Bring the table at `path` up to date with `shown`; pictures are where `locate` says. `problems` is the table of what could
    not be used, in which the rows of this table are renewed."""
    earlier = _earlier(problems)
    writer = VectorWriter(path, by.encoder.dim, by.name, shown.keys, by.learnt_until)
    done = {row[:-1]: row[-1] for row in existing(path, by.name, shown.keys).iter_rows()}
    rejected: Rows = []
    current: Rows = []
    not_decoded: list[Key] = []  # rows whose picture file is the one that an earlier run looked at
    pending: deque[_Source] = deque()  # given to the encoder, vectors not yet back
    written = 0

    made_with = [by.precision] if by.precision != "float32" else []

    def unreadable(number: int, reason: str) -> None:
        rejected.append((*pending[number - written].key, reason))

    with bar(f"Embedding {shown.noun}", len(shown.rows)) as (progress, task), ThreadPoolExecutor(2) as pool:

        def changed() -> Iterator[Input]:
            for source in _sources(shown, locate, pool, rejected, made_with):
                current.append((*source.key, source.content_hash))
                if done.get(source.key) != source.content_hash:
                    pending.append(source)
                    yield source.input
                else:
                    if source.input.image is not None:
                        not_decoded.append(source.key)
                    progress.advance(task)

        for vectors in encode_stream(by.encoder, changed(), by.batch_size, on_unreadable=unreadable):
            batch = [pending.popleft() for _ in vectors]
            usable = np.isfinite(vectors).all(1)
            made = [(*source.key, source.content_hash) for source, ok in zip(batch, usable, strict=True) if ok]
            writer.write(_frame(made, [*shown.keys, "content_hash"]), vectors[usable])
            written += len(batch)
            progress.advance(task, len(batch))
    finished = writer.finish(_frame(current, [*shown.keys, "content_hash"]))
    _write_problems(problems, earlier, shown, rejected, not_decoded)
    unchanged, gone = finished.rows - finished.added, len(done.keys() - {row[:-1] for row in current})
    console.print(f"  {finished.added:,} {shown.noun} embedded, {unchanged:,} unchanged, {gone:,} gone")
    console.print(f"  wrote {plain(path)} ({finished.rows:,} vectors of {by.encoder.dim})")
    return finished


def _sources(
    shown: Shown, locate: Callable[[str], Path], pool: ThreadPoolExecutor, rejected: Rows, made_with: Sequence[str]
) -> Iterator[_Source]:
    """The rows of which something is left, in order; picture files are read (not decoded) by threads, a chunk at a time. Hashes
    are of text, picture and what the vectors are `made_with`."""
    for chunk in shown.rows.iter_slices(CHUNK):
        files = pool.map(lambda name: _read(locate, name), chunk["image"].to_list())
        for key, words, (data, reason) in zip(chunk.select(shown.keys).iter_rows(), chunk["text"], files, strict=True):
            if reason:
                rejected.append((*key, reason))
            if words is None and data is None:
                rejected.append((*key, shown.nothing))
            else:
                yield _Source(key, Input(words, data), content_hash(words or "", data or b"", *made_with))


def _read(locate: Callable[[str], Path], name: str | None) -> tuple[bytes | None, str | None]:
    try:
        return (read_file(locate(name)) if name else None), None
    except ImageRejected as error:
        return None, f"{name}: {error}"


def _earlier(path: Path) -> pl.DataFrame:
    """What earlier runs found, which `path` lists. `UserError` where something else is there."""
    nothing = _frame([], PROBLEMS)
    if not path.exists():
        return nothing
    try:
        found = read_parquet(path)
    except UserError:
        found = pl.DataFrame()
    if not {"product_id", "reason"} <= set(found.columns) <= set(PROBLEMS):  # earlier versions knew no queries
        raise UserError(f"{path}: cannot be read, or is not the list that `openmoon embed` keeps there; move it away and run the "
                        "same command again.")  # fmt: skip
    return pl.concat([nothing, found], how="diagonal_relaxed")


def _write_problems(path: Path, earlier: pl.DataFrame, shown: Shown, rejected: Rows, not_decoded: list[Key]) -> None:
    """Renew what `path` says about the rows of this table; of pictures that were not decoded again it keeps what an `earlier` run
    found."""
    ours = pl.any_horizontal(pl.col(shown.keys).is_not_null())
    same = earlier.filter(ours).join(
        _frame(not_decoded, shown.keys), on=shown.keys, how="semi", nulls_equal=True, maintain_order="left"
    )
    found = [earlier.filter(~ours), same, _frame(rejected, [*shown.keys, "reason"])]
    table = pl.concat(found, how="diagonal")
    with atomic_path(path) as temporary:
        table.sort(pl.col("product_id").is_null(), maintain_order=True).write_parquet(temporary)
    if count := table.select(pl.any_horizontal(pl.col(shown.keys).is_not_null()).sum()).item():
        console.print(f"  [yellow]{count:,} {shown.noun} with problems[/]: reasons in {plain(path)}")


def _frame(rows: Sequence[Key], columns: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
