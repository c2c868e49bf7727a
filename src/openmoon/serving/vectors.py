"""The vectors table: `product_id, vector, encoder, content_hash`, the one thing that everything downstream reads.

`vector` is a fixed-size list of float32 (L2-normalised), `encoder` names what made it and `content_hash` what it was
made from; the metadata say how late the behaviour is that the encoder has learnt from (`openmoon.learnt`). A table of queries
has `query_text, query_image`, of which one may be null, in place of `product_id`. A run appends to part files beside the table
and `finish` merges them with the old table's unchanged rows, so a killed run goes on where it stopped and a second run embeds
only what changed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from openmoon.errors import UserError
from openmoon.io import atomic_path
from openmoon.learnt import KEY, from_text, to_text

PRODUCT = ("product_id",)  # the key of a table of products
QUERY = ("query_text", "query_image")  # and of queries
MADE = ("vector", "encoder", "content_hash")
COLUMNS = [*PRODUCT, *MADE]
ROWS = 4096  # in a part file, a row group and a chunk read: 4 MiB of vectors at 256 dimensions
_FORMAT: dict[str, Any] = {"compression": "none", "use_dictionary": ["encoder"]}  # vectors do not compress


class VectorTable:
    """A vectors table on disk, read in chunks. `rows` and `dim` are its size, `columns` what it has.

    Raises `UserError` when the file is missing, is not Parquet, lacks one of the columns `required`, or holds another type
    than expected.
    """

    def __init__(self, path: Path, required: Sequence[str] = COLUMNS) -> None:
        self.path = Path(path)
        self._required = required
        if not self.path.is_file():
            raise UserError(f"{path}: no such vectors table. `openmoon embed` makes one.")
        try:
            with _open(self.path) as file:
                found, self.rows = file.schema_arrow, file.metadata.num_rows
                self._facts: dict[bytes, bytes] = file.metadata.metadata or {}
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error
        self.columns: list[str] = found.names
        self.dim = self._checked_dim(found)

    @property
    def learnt_until(self) -> datetime | None:
        """As `learnt_until` below."""
        text = self._facts.get(KEY.encode())
        return None if text is None else from_text(text.decode(errors="replace"), self.path)

    def batches(self, columns: Sequence[str], rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        """Record batches of at most `rows` rows, in order; every column but `vector` as text."""
        try:
            with _open(self.path) as file:
                for batch in file.iter_batches(rows, columns=columns):
                    values = (batch.column(name) for name in columns)
                    typed = [v if name == "vector" else v.cast(pa.string()) for name, v in zip(columns, values, strict=True)]
                    yield pa.RecordBatch.from_arrays(typed, list(columns))
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error

    def strings(self, *columns: str) -> pl.DataFrame:
        """Columns other than `vector`, whole."""
        batches = [pl.DataFrame(pl.from_arrow(batch)) for batch in self.batches(columns)]
        return pl.concat([pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), *batches])

    def matrix(self, vectors: pa.FixedSizeListArray) -> np.ndarray:
        """A batch's `vector` column as an array (n, dim) float32."""
        flat = vectors.flatten()
        if vectors.null_count or flat.null_count:
            raise UserError(f"{self.path}: column 'vector' holds nulls; every row of the table needs a vector.")
        return flat.to_numpy().reshape(-1, self.dim)

    def _checked_dim(self, found: pa.Schema) -> int:
        for name in self._required:
            if name not in found.names:
                raise UserError(
                    f"{self.path}: not a vectors table, column {name!r} is missing (it has {', '.join(found.names)}). "
                    "`openmoon embed` makes one."
                )
        vector = found.field("vector").type
        if not (pa.types.is_fixed_size_list(vector) and pa.types.is_float32(vector.value_type) and vector.list_size):
            raise UserError(
                f"{self.path}: column 'vector' is {vector}, expected a fixed-size list of float32; "
                "in polars: pl.col('vector').cast(pl.Array(pl.Float32, dim))."
            )
        return int(vector.list_size)

    def _unreadable(self, error: Exception) -> UserError:
        reason = " ".join(str(error).split())
        return UserError(f"{self.path}: not a readable vectors table ({reason}). Remove it and run `openmoon embed`.")


def iter_vectors(path: Path, rows: int = ROWS) -> Iterator[tuple[list[str], np.ndarray]]:
    """Chunks of the table at `path`, in order: product ids and their vectors (n, dim) float32, n at most `rows`.

    The table may be anyone's: it needs no other columns, and ids may be numbers.
    """
    table = VectorTable(path, ["product_id", "vector"])
    for batch in table.batches(["product_id", "vector"], rows):
        yield batch.column("product_id").to_pylist(), table.matrix(batch.column("vector"))


def learnt_until(path: Path) -> datetime | None:
    """The last event that taught the encoder of the table at `path`, of products or queries; `NO_BEHAVIOUR` where it learnt from
    none, None where the table does not say (another program or an older openmoon made it, or its encoder is not known)."""
    return VectorTable(path, ["vector"]).learnt_until


def existing(path: Path, encoder_id: str, keys: Sequence[str] = PRODUCT) -> pl.DataFrame:
    """What `encoder_id` has embedded already, in the table or in a killed run's parts: the columns `keys`, content_hash."""
    found = _strings(_sources(path, keys), keys).filter(encoder=encoder_id)
    return found.select(*keys, "content_hash").unique(maintain_order=True)


@dataclass(frozen=True)
class Finished:
    """What `VectorWriter.finish` did: rows in the table now, of them new ones, and rows of the old table dropped."""

    rows: int
    added: int
    dropped: int


class VectorWriter:
    """Appends vectors of one encoder to the table at `path`, whose rows are told apart by the columns `keys`; `learnt_until`
    goes into its metadata.

    Rows gather in memory and go to `<path>.parts/`, `ROWS` at a time, each file atomically; `finish` makes the table.
    """

    def __init__(
        self, path: Path, dim: int, encoder_id: str, keys: Sequence[str] = PRODUCT, learnt_until: datetime | None = None
    ) -> None:
        self.path, self.dim, self.encoder_id, self.keys = Path(path), dim, encoder_id, keys
        self._schema = _schema(keys, dim, learnt_until)
        self._gathered: list[pa.Table] = []

    def write(self, made: pl.DataFrame, vectors: np.ndarray) -> None:
        """Append n rows: `made` holds the keys and content_hash, the hash of what was embedded; vectors (n, dim).

        Raises `UserError` for vectors of another shape or with NaN or infinity.
        """
        expected, source = (len(made), self.dim), f"{self.path}: encoder {self.encoder_id!r} gave vectors"
        if vectors.shape != expected:
            raise UserError(f"{source} of shape {vectors.shape}, expected {expected}.")
        if not np.isfinite(vectors).all():
            raise UserError(f"{source} with NaN or infinity; training or export broke it.")
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
        columns = [
            *(made[key].to_arrow().cast(pa.string()) for key in self.keys),
            pa.FixedSizeListArray.from_arrays(flat, type=self._schema.field("vector").type),
            pa.repeat(self.encoder_id, len(made)),
            made["content_hash"].to_arrow().cast(pa.string()),
        ]
        self._gathered.append(pa.table(columns, schema=self._schema))
        if sum(map(len, self._gathered)) >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Put what is gathered into a part file, so that a kill after this loses nothing."""
        if self._gathered:
            last = max((int(path.stem) for path in _part_files(self.path)), default=-1)
            with atomic_path(_parts(self.path) / f"{last + 1:06d}.parquet") as temporary:
                pq.write_table(pa.concat_tables(self._gathered), temporary, **_FORMAT)
            self._gathered = []

    def finish(self, keep: pl.DataFrame) -> Finished:
        """Merge the old table and the parts into one table, atomically, and remove the parts.

        `keep` (keys, content_hash) are the current products or queries: every other row is dropped, and so is every row of
        another encoder. Vectors stream through in row groups; only keys and hashes are held in memory.
        """
        self.flush()
        sources = _sources(self.path, self.keys)
        masks = self._masks(sources, keep)
        with atomic_path(self.path) as temporary, pq.ParquetWriter(temporary, self._schema, **_FORMAT) as out:
            for source, mask in zip(sources, masks, strict=True):
                for table in self._kept(source, mask):
                    out.write_table(table)
        shutil.rmtree(_parts(self.path), ignore_errors=True)
        rows = sum(int(mask.sum()) for mask in masks)
        old = masks[0] if sources and sources[0].path == self.path else np.zeros(0, bool)
        return Finished(rows=rows, added=rows - int(old.sum()), dropped=int((~old).sum()))

    def _masks(self, sources: Sequence[VectorTable], keep: pl.DataFrame) -> list[np.ndarray]:
        """Which rows of each source stay: current, of this encoder, and each key once."""
        found = _strings(sources, self.keys).with_row_index("row").filter(encoder=self.encoder_id)
        same = [*self.keys, "content_hash"]
        current = found.join(keep, on=same, how="semi", nulls_equal=True, maintain_order="left")
        mask = np.zeros(sum(source.rows for source in sources), bool)
        mask[current.unique(self.keys, keep="first", maintain_order=True)["row"].to_numpy()] = True
        ends = accumulate(source.rows for source in sources)
        return [mask[end - source.rows : end] for source, end in zip(sources, ends, strict=True)]

    def _kept(self, source: VectorTable, mask: np.ndarray) -> Iterator[pa.Table]:
        if mask.any() and source.dim != self.dim:
            raise UserError(
                f"{source.path}: vectors have {source.dim} dimensions, this run of encoder {self.encoder_id!r} makes "
                f"{self.dim}; write to another table, or remove this one."
            )
        start = 0
        for batch in source.batches(self._schema.names) if mask.any() else ():
            part = mask[start : start + len(batch)]
            start += len(batch)
            if part.any():
                yield pa.table(batch).filter(pa.array(part)).cast(self._schema)


def _open(path: Path) -> pq.ParquetFile:
    """Read through a small buffer: by default pyarrow fetches every column chunk of the file ahead, or a whole one."""
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)


def _schema(keys: Sequence[str], dim: int, learnt_until: datetime | None) -> pa.Schema:
    vector = pa.list_(pa.field("element", pa.float32()), dim)
    types = [(name, vector if name == "vector" else pa.string()) for name in (*keys, *MADE)]
    return pa.schema(types, None if learnt_until is None else {KEY: to_text(learnt_until)})


def _strings(sources: Sequence[VectorTable], keys: Sequence[str]) -> pl.DataFrame:
    columns = [*keys, "content_hash", "encoder"]
    empty = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return pl.concat([empty, *(source.strings(*columns) for source in sources)])


def _sources(path: Path, keys: Sequence[str]) -> list[VectorTable]:
    """The table, when there is one, and then the parts in the order they were written."""
    return [VectorTable(source, [*keys, *MADE]) for source in (Path(path), *_part_files(path)) if source.is_file()]


def _parts(path: Path) -> Path:
    return Path(path).with_name(f"{Path(path).name}.parts")


def _part_files(path: Path) -> list[Path]:
    return sorted(part for part in _parts(path).glob("*.parquet") if part.stem.isdigit())
