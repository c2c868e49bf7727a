"""A shop: its tables read, joined and cleared of rows that cannot be used. Pictures stay on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from openmoon.config import DataConfig
from openmoon.data.schema import CATALOG, CREATIVES, EVENTS, QUERIES, REJECTED, TableSpec
from openmoon.data.tables import read_table
from openmoon.errors import UserError
from openmoon.io import content_hash, file_hash


@dataclass(frozen=True)
class Shop:
    """The tables in their normal form (`data/schema.py`); `rejected` holds every row that is not in them.

    Pictures named in any of the tables are relative to `folder`, the catalogue's own, unless they are absolute.
    `fingerprint` changes whenever a table file changes.
    """

    catalog: pl.DataFrame
    events: pl.DataFrame | None = None
    creatives: pl.DataFrame | None = None
    queries: pl.DataFrame | None = None
    rejected: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTED))
    folder: Path = Path()
    fingerprint: str = ""

    def image_path(self, relative: str) -> Path:
        """Where the picture named in a table is."""
        return self.folder / relative

    def image_paths(self, images: pl.Series) -> list[Path]:
        """The distinct pictures of a column of the tables, sorted."""
        return [self.image_path(image) for image in images.drop_nulls().unique().sort()]


def load_shop(config: DataConfig) -> Shop:
    """Read and join the tables that `config` names; no picture is opened.

    Rows with bad values, repeated keys or unknown products are in `rejected`. Raises `UserError` for a missing file or
    column, and for a catalogue in which no product is left.
    """
    paths = {
        spec.name: config.root / path
        for spec, path in (
            (CATALOG, config.catalog), (EVENTS, config.events),
            (CREATIVES, config.creatives), (QUERIES, config.queries),
        )
        if path is not None
    }  # fmt: skip
    folder = _folder(paths["catalog"])
    catalog, rejected = _read(CATALOG, paths, config)
    if catalog.is_empty():
        raise UserError(f"{paths['catalog']}: no usable product in it; {_commonest(rejected)}.")
    tables, bad = {"catalog": catalog}, [rejected]
    for spec in (EVENTS, CREATIVES, QUERIES):
        if spec.name in paths:
            tables[spec.name], rejected = _read(spec, paths, config, catalog["product_id"])
            bad.append(rejected)
    fingerprint = content_hash(*(part for path in paths.values() for part in _hashes(path)))
    return Shop(**tables, rejected=pl.concat(bad), folder=folder, fingerprint=fingerprint)


def _read(
    spec: TableSpec, paths: dict[str, Path], config: DataConfig, products: pl.Series | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    columns = next((mapping for name, mapping in config.columns.items() if name == spec.name), {})
    attributes = config.attributes if spec is CATALOG else ()
    return read_table(paths[spec.name], spec, columns, attributes, products)


def _folder(table: Path) -> Path:
    return table if table.is_dir() else table.parent


def _hashes(path: Path) -> list[str]:
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    return [file_hash(file) for file in files]


def _commonest(rejected: pl.DataFrame) -> str:
    if rejected.is_empty():
        return "the table has no rows"
    reason = rejected["reason"].value_counts(sort=True)["reason"][0]
    return f"all {rejected.height} rows were rejected, most often: {reason}"
