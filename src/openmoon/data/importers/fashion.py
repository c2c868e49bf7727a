"""Kaggle "Fashion Product Images" (full or small): `styles.csv` and `images/<id>.jpg` → catalog.parquet."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from openmoon.data.csv_file import ROW, read_csv
from openmoon.data.importers.output import ImportReport, existing, require_apart, require_columns, write_tables
from openmoon.data.normalise import normalise
from openmoon.data.schema import CATALOG, REJECTED
from openmoon.data.tables import read_parquet, rejected_lines
from openmoon.errors import UserError

ATTRIBUTES = ["gender", "masterCategory", "subCategory", "baseColour", "season", "year", "usage"]
THEIRS = {"product_id": "id", "title": "productDisplayName", "category": "articleType"}


def import_fashion(source: Path, out: Path) -> ImportReport:
    """Write `out`/catalog.parquet and `out`/rejected.parquet from the folder that holds styles.csv and images/.

    A folder that holds a catalog.parquet with the same columns (id → product_id, productDisplayName → title, and
    `image`) is taken too. The category is articleType; gender, colour, season and so on become attributes. Products
    without a photo keep their title. Raises `UserError` when the folder holds neither.
    """
    source = Path(source)
    require_apart(source, out)
    notes: list[str] = []
    torn = pl.DataFrame(schema=REJECTED)
    tidy, styles = source / "catalog.parquet", _styles(source)
    if tidy.is_file():
        folder, frame = source, read_parquet(tidy).with_row_index(ROW)
        require_columns(frame, tidy, "product_id", "image")
        columns = {"category": "articleType"}
    elif styles is not None:
        folder, columns = styles.parent, THEIRS
        frame, mended, torn = _read_styles(styles)
        require_columns(frame, styles, *THEIRS.values(), *ATTRIBUTES)
        frame = frame.with_columns(image=pl.format("images/{}.jpg", pl.col("id").str.strip_chars()))
        if mended:
            notes.append(f"{mended} titles hold commas that styles.csv does not quote; they were joined again")
    else:
        raise UserError(
            f"{source}: found neither styles.csv nor catalog.parquet; expected the unpacked Kaggle "
            "download 'Fashion Product Images' with styles.csv and images/."
        )
    frame = frame.with_columns(existing(folder, frame["image"]))
    catalog, rejected = normalise(frame, CATALOG, columns, ATTRIBUTES, source=str(tidy if tidy.is_file() else styles))
    if absent := catalog["image"].null_count():
        notes.append(f"{absent:,} products have no photo in {folder / 'images'}; they keep their title")
    return write_tables(out, {"catalog": catalog}, [rejected, torn], notes)


def _styles(source: Path) -> Path | None:
    """The archive unpacks to styles.csv itself or to a folder that holds it."""
    return next(iter([*source.glob("styles.csv"), *sorted(source.glob("*/styles.csv"))]), None)


def _read_styles(path: Path) -> tuple[pl.DataFrame, int, pl.DataFrame]:
    """The lines of styles.csv, how many of them were mended, and the lines that cannot be.

    The title is the last column and not quoted: what is too much in a line belongs to its title.
    """
    frame, broken = read_csv(path)
    names = [name for name in frame.columns if name != ROW]
    if names[-1] != THEIRS["title"]:
        raise UserError(f"{path}: expected productDisplayName as the last column, found {', '.join(names)}.")
    long = broken["record"].str.count_matches(",", literal=True) >= len(names) - 1
    rows = [record.split(",", len(names) - 1) for record in broken.filter(long)["record"]]
    mended = pl.DataFrame(rows, dict.fromkeys(names, pl.String), orient="row").with_columns(broken.filter(long)[ROW])
    return pl.concat([frame, mended]).sort(ROW), mended.height, rejected_lines(CATALOG, broken.filter(~long))
