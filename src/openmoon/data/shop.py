"""A shop: its tables read, joined and cleared of rows that cannot be used. Pictures stay on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from openmoon.config import DataConfig
from openmoon.data.image_cache import ImageCache
from openmoon.data.schema import CATALOG, CREATIVES, EVENTS, QUERIES, REJECTED, TableSpec
from openmoon.data.tables import columns_left, iter_table, read_table
from openmoon.errors import UserError


@dataclass(frozen=True)
class Shop:
    """The tables in their normal form (`data/schema.py`); `rejected` holds every row that is not in them.

    Pictures named in any of the tables are relative to `folder`, the catalogue's own, unless they are absolute.
    """

    catalog: pl.DataFrame
    events: pl.DataFrame | None = None
    creatives: pl.DataFrame | None = None
    queries: pl.DataFrame | None = None
    rejected: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTED))
    folder: Path = Path()

    @property
    def logs_queries(self) -> bool:
        """Whether any click, cart or purchase of the events says what was searched for."""
        if self.events is None:
            return False
        asked = pl.col("query_text").is_not_null() | pl.col("query_image").is_not_null()
        return not self.events.filter((pl.col("action") != "impression") & asked).is_empty()

    def require_queries(self) -> None:
        """Raise `UserError` where stage 2 has nothing to learn from: no events, none that is usable, or none that says what was
        searched for before a click, cart or purchase."""
        if self.events is None:
            raise UserError("data.events: this step learns from behaviour, but the recipe names no events table; name one, or "
                            "set posttrain: null to train stage 1 alone.")  # fmt: skip
        if self.events.is_empty():
            raise UserError(f"data.events: no usable row in it; {_commonest(self.rejected.filter(table='events'))}.")
        if not self.logs_queries:
            raise UserError("data.events: this step needs queries, but no click, cart or purchase has query_text or query_image; "
                            "log what was searched for, or name labelled queries in data.queries to evaluate on.")  # fmt: skip

    def image_path(self, relative: str) -> Path:
        """Where the picture named in a table is."""
        return self.folder / relative

    def image_paths(self, names: pl.Expr) -> pl.Expr:
        """Full paths, as strings, of pictures named in a table; null stays null."""
        return names.map_elements(lambda name: str(self.image_path(name)), return_dtype=pl.String)

    def readable_paths(self, column: str) -> pl.Expr:
        """The same of the pictures in `column` that could be decoded, which have a key in `<column>_key`; null for others."""
        return self.image_paths(pl.when(pl.col(f"{column}_key").is_not_null()).then(pl.col(column)))

    def with_keys(self, table: pl.DataFrame, column: str, images: ImageCache) -> pl.DataFrame:
        """`table` with `<column>_key`, the content hash of the picture in `column`; null where `images` has none."""
        names = table[column].drop_nulls().unique(maintain_order=True).to_list()
        keys = dict(zip(names, images.readable([self.image_path(name) for name in names]), strict=True))
        key = pl.col(column).replace_strict(keys, default=None, return_dtype=pl.String)
        return table.with_columns(key.alias(f"{column}_key"))

    def picture_names(self) -> list[str]:
        """The distinct pictures that the tables name, as they name them."""
        columns = [
            table[column].drop_nulls()
            for table, column in (
                (self.catalog, "image"), (self.events, "query_image"), (self.creatives, "image"),
                (self.queries, "query_image"),
            )
            if table is not None
        ]  # fmt: skip
        return pl.concat(columns).unique(maintain_order=True).to_list()


LISTED = "`openmoon data check` lists them all"


class NoProduct(UserError):
    """A catalogue without a usable product; `rejected` are its rows."""

    def __init__(self, path: Path, rejected: pl.DataFrame, listed: str = LISTED) -> None:
        super().__init__(f"{path}: no usable product in it; {_commonest(rejected, listed)}.")
        self.path, self.rejected = path, rejected


def load_catalog(config: DataConfig) -> Shop:
    """The shop with its catalogue alone; the other tables, which may be large, are not read.

    Raises `UserError` for a missing file or column, and `NoProduct` for a catalogue in which no product is left.
    """
    path = config.root / config.catalog
    catalog, rejected = _read(CATALOG, path, config)
    if catalog.is_empty():
        raise NoProduct(path, rejected)
    return Shop(catalog, rejected=rejected, folder=_folder(path))


def load_shop(config: DataConfig) -> Shop:
    """Read and join the tables that `config` names; no picture is opened.

    Rows with bad values, repeated keys or unknown products are in `rejected`. Raises `UserError` as `load_catalog` does.
    """
    shop = load_catalog(config)
    tables, rejected = {}, [shop.rejected]
    for spec, path in _named(config):
        if spec is not CATALOG:
            tables[spec.name], bad = _read(spec, path, config, shop.catalog["product_id"])
            rejected.append(bad)
    return Shop(shop.catalog, rejected=pl.concat(rejected), folder=shop.folder, **tables)


def unread_columns(config: DataConfig) -> dict[str, list[str]]:
    """Table → columns of its file that nothing reads, of the tables that `config` names and that can be read."""
    found = {spec.name: columns_left(path, spec, *_naming(spec, config)) for spec, path in _named(config)}
    return {name: columns for name, columns in found.items() if columns}


def load_asked(config: DataConfig, products: pl.Series) -> pl.DataFrame:
    """The distinct queries of the usable events, impressions too, whatever their time: query_text, query_image as the events name
    them, one of which may be null; in order of first use. `products` are the ids of the catalogue.

    Raises `UserError` for a missing file or column; `config` must name an events table.
    """
    assert config.events is not None
    events, _ = _read(EVENTS, config.root / config.events, config, products)
    asked = events.select("query_text", "query_image").unique(maintain_order=True)
    return asked.filter(pl.any_horizontal(pl.all().is_not_null()))


def iter_events(config: DataConfig, products: pl.Series) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The events in chunks, for logs that do not fit in memory: usable rows, with `row`, their number in the file, and rejected
    ones. `products` are the ids of the catalogue. Raises `UserError` for a missing file or column, or no events."""
    if config.events is None:
        raise UserError("data.events: this step reads behaviour, but the recipe names no events table.")
    yield from iter_table(config.root / config.events, EVENTS, config.columns.get("events", {}), products)


def _named(config: DataConfig) -> list[tuple[TableSpec, Path]]:
    """The tables that `config` names, and where they are."""
    tables = ((CATALOG, config.catalog), (EVENTS, config.events), (CREATIVES, config.creatives), (QUERIES, config.queries))
    return [(spec, config.root / path) for spec, path in tables if path is not None]


def _read(
    spec: TableSpec, path: Path, config: DataConfig, products: pl.Series | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    return read_table(path, spec, *_naming(spec, config), products)


def _naming(spec: TableSpec, config: DataConfig) -> tuple[Mapping[str, str], Sequence[str]]:
    """Our names → the file's, and the columns that become attributes."""
    columns: Mapping[str, str] = next((mapping for name, mapping in config.columns.items() if name == spec.name), {})
    return columns, config.attributes if spec is CATALOG else ()


def _folder(table: Path) -> Path:
    return table if table.is_dir() else table.parent


def _commonest(rejected: pl.DataFrame, listed: str = LISTED) -> str:
    if rejected.is_empty():
        return "the table has no rows"
    reason = rejected["reason"].value_counts(sort=True)["reason"][0]
    return f"all {rejected.height} rows were rejected, most often: {reason} ({listed})"
