"""The GroceryStoreDataset repository (Klasson et al., WACV 2019): products photographed in shops → catalog and events.

Layout (github.com/marcusklasson/GroceryStoreDataset): `dataset/classes.csv` names the 81 fine classes, each with its
coarse class, its iconic picture and its description; `dataset/{train,val,test}.txt` list the phone photos as
"path, fine class, coarse class".
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import polars as pl

from openmoon.data.csv_file import ROW, read_csv
from openmoon.data.importers.output import ImportReport, existing, require_apart, require_columns, write_tables
from openmoon.data.normalise import normalise
from openmoon.data.schema import CATALOG, EVENTS, SPLITS
from openmoon.data.tables import read_parquet
from openmoon.errors import UserError
from openmoon.io import read_lines

CLASSES = {
    "Class Name (str)": "title", "Class ID (int)": "product_id", "Coarse Class Name (str)": "category",
    "Iconic Image Path (str)": "image", "Product Description Path (str)": "description",
}  # fmt: skip
PHOTO_EVENTS = replace(
    EVENTS, broken={**EVENTS.broken, "the photo is not where the list says": pl.col("query_image").is_null()}
)
START = dt.datetime(2019, 1, 1)  # the photos carry no times; one a second keeps the lists' order


def import_grocery(source: Path, out: Path) -> ImportReport:
    """Write `out`/catalog.parquet, events.parquet and rejected.parquet from a clone of the repository.

    A product is a fine class: its iconic picture, its description. Every listed photo is an event: a click on its
    product with the photo as query, and the list as `split`. A folder that holds catalog.parquet and queries.parquet
    (query_image, product_id, split) is taken too. Raises `UserError` when the folder holds neither.
    """
    source = Path(source)
    require_apart(source, out)
    folder = next((path for path in (source / "dataset", source) if (path / "classes.csv").is_file()), source)
    if (folder / "classes.csv").is_file():
        products, photos = _products(folder), _listed_photos(folder)
    elif (source / "catalog.parquet").is_file() and (source / "queries.parquet").is_file():
        products = read_parquet(source / "catalog.parquet")
        photos = read_parquet(source / "queries.parquet")
        require_columns(products, source / "catalog.parquet", "product_id", "image", "department")
        require_columns(photos, source / "queries.parquet", "query_image", "product_id", "split")
    else:
        raise UserError(
            f"{source}: found no dataset/classes.csv; expected a clone of the repository "
            "marcusklasson/GroceryStoreDataset."
        )
    catalog, bad_products = normalise(
        products.with_columns(existing(folder, products["image"])),
        CATALOG, attributes=["department"], source=f"{folder}: classes",
    )  # fmt: skip
    events, bad_events = normalise(
        _events(folder, photos), PHOTO_EVENTS, products=catalog["product_id"], source=f"{folder}: photos"
    )
    counts = events["split"].value_counts().sort("split").iter_rows()
    notes = ["photos: " + ", ".join(f"{count:,} {split}" for split, count in counts)]
    return write_tables(out, {"catalog": catalog, "events": events}, [bad_products, bad_events], notes)


def _products(folder: Path) -> pl.DataFrame:
    frame, broken = read_csv(folder / "classes.csv")
    require_columns(frame, folder / "classes.csv", *CLASSES)
    if not broken.is_empty():
        raise UserError(f"{folder / 'classes.csv'}: record {broken[ROW][0]} is damaged ({broken['reason'][0]}).")
    frame = frame.rename(CLASSES)
    icons = [_find(folder, path, "*Iconic*") for path in frame["image"]]
    texts = [_find(folder, path, "*Description.txt") for path in frame["description"]]
    return frame.with_columns(
        pl.col("title").str.replace_all("-", " "),
        pl.col("category").str.replace_all("-", " "),
        pl.Series("image", [str(path.relative_to(folder)) if path else None for path in icons], pl.String),
        pl.Series("description", [path.read_text("utf-8", "replace") if path else None for path in texts], pl.String),
        department=pl.col("image").str.extract(r"descriptions/([^/]+)/"),
    )


def _find(folder: Path, listed: str, pattern: str) -> Path | None:
    """The listed file; a few entries of classes.csv misspell the name, so else the one of its kind beside it."""
    path = folder / listed.strip("/ ")
    return path if path.is_file() else next(iter(sorted(path.parent.glob(pattern))), None)


def _listed_photos(folder: Path) -> pl.DataFrame:
    """query_image, product_id, split of every line of the lists that are there."""
    lists = {split: folder / f"{split}.txt" for split in SPLITS if (folder / f"{split}.txt").is_file()}
    if not lists:
        raise UserError(f"{folder}: found none of train.txt, val.txt, test.txt beside classes.csv; clone it again.")
    rows = [
        (*(part.strip() for part in f"{line},".split(",")[:2]), split)
        for split, path in lists.items()
        for line in read_lines(path)
    ]
    return pl.DataFrame(rows, dict.fromkeys(("query_image", "product_id", "split"), pl.String), orient="row")


def _events(folder: Path, photos: pl.DataFrame) -> pl.DataFrame:
    return photos.select(
        "product_id", "split", existing(folder, photos["query_image"]), pl.col("query_image").alias("listed"),
        user_id=pl.lit("shopper"), action=pl.lit("click"),
        timestamp=pl.lit(START) + pl.duration(seconds=pl.int_range(pl.len())),
    )  # fmt: skip
