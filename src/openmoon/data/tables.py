"""Reading the tables of a shop from Parquet or CSV without losing a row.

Whatever is wrong with a row puts it, with the reason, among the rejected ones; whatever is wrong with a whole file or
column is a `UserError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from openmoon.data.csv_file import ROW, csv_columns, read_csv
from openmoon.data.normalise import normalise, numbered
from openmoon.data.schema import TableSpec
from openmoon.errors import UserError

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def read_table(
    path: Path,
    spec: TableSpec,
    columns: Mapping[str, str] | None = None,
    attributes: Sequence[str] = (),
    products: pl.Series | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read `path` (.parquet, a folder of them, .csv or .tsv) as the table `spec`.

    `columns` maps our names to the file's; `attributes` are catalogue columns gathered into the JSON `attributes`;
    with `products`, rows of other products are rejected.
    Returns the table and the rejected rows (schema `REJECTED`); together they are all rows of the file.
    Raises `UserError` for a missing or unreadable file, a missing or mistyped column.
    """
    path = Path(path)
    if _is_csv(path, spec):
        frame, broken = read_csv(path)
        table, rejected = normalise(frame, spec, columns, attributes, products, str(path))
        return table, pl.concat([rejected, rejected_lines(spec, broken)]).sort("row")
    frames = list(_parts(path, lambda file: [read_parquet(file)]))
    good, rejected = numbered(frames, spec, columns, attributes, products, str(path))
    return good.drop(ROW), rejected


def iter_table(
    path: Path, spec: TableSpec, columns: Mapping[str, str] | None = None, products: pl.Series | None = None
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """`read_table` in chunks, row group by row group of Parquet, CSV whole; for tables without a key. Good rows also have `row`,
    their number in the file or folder."""
    if spec.unique is not None:
        raise ValueError(f"{spec.name} has a key, and a repeated one can only be found in the whole table")
    path = Path(path)
    chunks = iter([read_csv(path)]) if _is_csv(path, spec) else ((frame, None) for frame in _parts(path, _row_groups))
    for frame, broken in chunks:
        good, rejected = numbered([frame], spec, columns, (), products, str(path))
        yield good.rename({ROW: "row"}), rejected if broken is None else pl.concat([rejected, rejected_lines(spec, broken)])


def columns_left(path: Path, spec: TableSpec, columns: Mapping[str, str], attributes: Sequence[str]) -> list[str]:
    """The columns of the file, or of the first in the folder, that `read_table` with the same arguments leaves alone."""
    there = csv_columns(path) if _is_csv(path, spec) else _columns(_files(path)[0])
    read = {columns.get(column.name, column.name) for column in spec.columns} | set(attributes)
    return [name for name in there if name not in read and name != ROW]


def _is_csv(path: Path, spec: TableSpec) -> bool:
    """Whether the table is CSV; otherwise it is Parquet. `UserError` where it is neither or not there."""
    if not path.exists():
        raise UserError(f"{path}: no such file; set data.root and data.{spec.name} to where the {spec.name} table is.")
    if path.suffix.lower() in (".csv", ".tsv"):
        return True
    if path.suffix.lower() == ".parquet" or path.is_dir():
        return False
    raise UserError(f"{path}: expected a .parquet, .csv or .tsv file, found {path.suffix or 'no ending'!r}.")


def _files(path: Path) -> list[Path]:
    """The file, or the Parquet files below a folder but those whose name or folder hides them with a dot or an underscore, as
    Spark does. `UserError` where a folder has none."""
    if not path.is_dir():
        return [path]
    found = sorted(f for f in path.rglob("*.parquet") if f.is_file() and not any(map(_hides, f.relative_to(path).parts)))
    if not found:
        raise UserError(f"{path}: no Parquet file (*.parquet) is in this folder; name the file or the folder of the table.")
    return found


def _hides(part: str) -> bool:
    return part.startswith(".") or (part.startswith("_") and "=" not in part)


def _parts(path: Path, read: Callable[[Path], Iterable[pl.DataFrame]]) -> Iterator[pl.DataFrame]:
    """What `read` finds in the file, or in the files of the folder in the order of their names: rows counted through in `ROW`,
    with what the names of folders say, such as day=2025-01-31 (Hive), and null for columns that only other files have."""
    files, start = _files(path), 0
    said = {file: _said_by_folders(file, path) for file in files}
    names = dict.fromkeys(name for file in files for name in (*_columns(file), *said[file])) if len(files) > 1 else {}
    for file in files:
        for frame in read(file):
            frame = frame.with_columns(pl.lit(v, pl.String).alias(n) for n, v in said[file].items() if n not in frame.columns)
            frame = frame.with_columns(pl.lit(None).alias(name) for name in names if name not in frame.columns)
            yield frame.drop(ROW, strict=False).with_row_index(ROW, start)  # a column of the file may be called so
            start += len(frame)


def _said_by_folders(file: Path, path: Path) -> dict[str, str | None]:
    folders = file.relative_to(path).parent.parts if path.is_dir() else ()
    pairs = (part.split("=", 1) for part in folders if "=" in part)
    return {name: None if value == HIVE_NULL else unquote(value) for name, value in pairs}


def _columns(file: Path) -> list[str]:
    try:
        return list(pq.read_schema(file).names)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> UserError:
    return UserError(f"{file}: cannot be read as Parquet ({str(error).splitlines()[0]}); write the table again.")


def _row_groups(file: Path) -> Iterator[pl.DataFrame]:
    try:
        with pq.ParquetFile(file, pre_buffer=False) as source:
            for number in range(source.num_row_groups):
                yield pl.DataFrame(pl.from_arrow(source.read_row_group(number)))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from error


def rejected_lines(spec: TableSpec, broken: pl.DataFrame) -> pl.DataFrame:
    """The broken lines of `read_csv` in the form of rejected rows."""
    return broken.select(
        pl.lit(spec.name).alias("table"), pl.col(ROW).alias("row"), pl.lit(None, pl.String).alias("product_id"),
        "reason", "record",
    )  # fmt: skip


def read_parquet(path: Path) -> pl.DataFrame:
    """The table in the file `path`. Raises `UserError` where it cannot be read."""
    try:
        return pl.read_parquet(path, glob=False, hive_partitioning=False)  # a name may hold brackets
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error) from error
