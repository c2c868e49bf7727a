"""The files of TAOBAO-MM: where they are, and their columns as integers, a few thousand rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from openmoon.errors import UserError

ROWS = 4096  # read at a time: 32 MiB of a list column at 1,000 ids a row
NUMBER, LIST = "an integer", "a list of integers"


@dataclass(frozen=True)
class Lists:
    """A column of lists: all their entries one after another (int64, null = 0), and how many each row has (null = none)."""

    flat: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True)
class Rows:
    """Some rows of a file, the first of which is its row `first`."""

    path: Path
    first: int
    batch: pa.RecordBatch

    def __len__(self) -> int:
        return self.batch.num_rows

    def numbers(self, name: str) -> np.ndarray:
        """(n,) int64; 0 where the file has null, as its makers fill what is empty."""
        return _integers(self.batch.column(name))

    def lists(self, name: str) -> Lists:
        """A column of lists."""
        column = self.batch.column(name)
        lengths = _integers(pc.list_value_length(column))
        return Lists(_integers(column.drop_null().flatten()), lengths)

    def known(self, name: str) -> np.ndarray:
        """(n,) bool: not null."""
        return np.asarray(self.batch.column(name).is_valid())

    def where(self, mask: np.ndarray) -> Rows:
        """The rows under `mask` (n,) bool."""
        return self if mask.all() else Rows(self.path, self.first, self.batch.filter(pa.array(mask)))

    def wrong(self, name: str, row: int, expected: str) -> UserError:
        """An error about the value of a column in the given one of these rows."""
        value = self.batch.column(name)[row].as_py()
        shown = f"{len(value)} numbers" if isinstance(value, list) and len(value) > 8 else repr(value)
        return UserError(f"{self.path}: row {self.first + row}, column {name!r} holds {shown}, expected {expected}; this is not "
                         "the layout of TAOBAO-MM, or a broken download.")  # fmt: skip


def find(folder: Path, pattern: str, below: str) -> list[Path]:
    """The files named `pattern` in `folder`, or where it has none in its folder `below`; sorted."""
    return sorted(folder.glob(pattern)) or sorted((folder / below).glob(pattern))


def stream(path: Path, columns: dict[str, str]) -> Iterator[Rows]:
    """The rows of a Parquet file in order, of the given columns (name → NUMBER or LIST) only.

    Raises `UserError` for a file that cannot be read, a column that is missing, and one of another type.
    """
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            _check(path, file.schema_arrow, columns)
            first = 0
            for batch in file.iter_batches(ROWS, columns=list(columns)):
                yield Rows(path, first, batch)
                first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable Parquet file ({reason}); download it again.") from error


def _check(path: Path, schema: pa.Schema, columns: dict[str, str]) -> None:
    for name, expected in columns.items():
        if name not in schema.names:
            raise UserError(f"{path}: column {name!r} is missing (it has {', '.join(schema.names)}); TAOBAO-MM's has "
                            f"{', '.join(columns)}.")  # fmt: skip
        found = schema.field(name).type
        is_list = pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)
        held = found.value_type if is_list and expected == LIST else found
        if not pa.types.is_integer(held) or is_list != (expected == LIST):
            raise UserError(f"{path}: column {name!r} is {found}, expected {expected} in every row.")


def _integers(column: pa.Array) -> np.ndarray:
    return pc.fill_null(column, 0).cast(pa.int64()).to_numpy(zero_copy_only=False)
