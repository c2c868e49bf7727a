"""What every importer writes: tables in their normal form, and the rows that did not make it, with reasons."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from openmoon.data.csv_file import ROW
from openmoon.data.schema import REJECTED
from openmoon.errors import UserError, nearest
from openmoon.io import atomic_path


@dataclass(frozen=True)
class ImportReport:
    """Where the tables are, the rows of each, the rows in rejected.parquet, and what a user should know."""

    out: Path
    tables: dict[str, int]
    rejected: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = ", ".join(f"{count:,} in {name}.parquet" for name, count in self.tables.items())
        more = f"; {self.rejected:,} rows in rejected.parquet" if self.rejected else ""
        return "\n".join([f"{self.out}: {rows}{more}", *(f"  {note}" for note in self.notes)])


def require_apart(source: Path, out: Path) -> None:
    """Refuse to write the tables over what they are made of."""
    if Path(source).resolve() == Path(out).resolve():
        raise UserError(f"{out}: is the folder that is imported; choose another one for the tables.")


def require_columns(frame: pl.DataFrame, source: Path, *names: str) -> None:
    """Raise `UserError` for the first of `names` that the file `source` does not have."""
    there = [name for name in frame.columns if name != ROW]
    for name in names:
        if name not in there:
            raise UserError(
                f"{source}: no column {name!r}.{nearest(name, there)} Found {', '.join(there) or 'none'}; "
                "bring the file as it was downloaded."
            )


def write_tables(
    out: Path, tables: dict[str, pl.DataFrame], rejected: list[pl.DataFrame], notes: list[str]
) -> ImportReport:
    """Write <name>.parquet for each table, and rejected.parquet, below `out`; files of other names stay."""
    bad = pl.concat(rejected) if rejected else pl.DataFrame(schema=REJECTED)
    for name, table in (tables | {"rejected": bad}).items():
        with atomic_path(Path(out) / f"{name}.parquet") as temporary:
            table.write_parquet(temporary)
    return ImportReport(Path(out), {name: table.height for name, table in tables.items()}, bad.height, tuple(notes))


def existing(folder: Path, names: pl.Series) -> pl.Series:
    """Full paths of the files `names` below `folder`; null for those that are not there."""
    folder = folder.resolve()
    paths = [None if name is None else str(folder / name) for name in names]
    return pl.Series(names.name, [path if path and os.path.isfile(path) else None for path in paths], pl.String)
