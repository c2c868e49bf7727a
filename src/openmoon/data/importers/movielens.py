"""MovieLens (Harper & Konstan 2015): films with their genres, and who rated what and when → catalog and events.

A rating says that somebody saw the film: an impression. A good one says that they liked it: a click beside it.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from openmoon.data.coerce import DATETIME
from openmoon.data.csv_file import ROW, read_csv
from openmoon.data.importers.output import ImportReport, existing, require_apart, require_columns, write_tables
from openmoon.data.normalise import normalise
from openmoon.data.schema import CATALOG, EVENTS, REJECTED, Column, TableSpec
from openmoon.data.tables import read_parquet, rejected_lines
from openmoon.errors import UserError

FILMS = {"product_id": "movieId", "category": "genre"}
RATES = {"user_id": "userId", "product_id": "movieId"}
RATINGS = TableSpec(
    "ratings",
    (
        Column("user_id", required=True), Column("product_id", required=True),
        Column("rating", pl.Float64(), required=True), Column("timestamp", DATETIME, required=True),
        Column("session_id"),
    ),
    unique="session_id",
)  # fmt: skip
NO_GENRES = "(no genres listed)"
YEAR = r"^(.*\S)\s*\((\d{4})(?:\s*[-–]\s*\d{0,4})?\)\s*$"  # "Toy Story (1995)"; of a series (2006–2007) the first


def import_movielens(source: Path, out: Path, liked: float = 4.0, posters: Path | None = None) -> ImportReport:
    """Write `out`/catalog.parquet, events.parquet and rejected.parquet from the folder that holds movies and ratings.

    The folder has movies.csv (movieId, title, genres) and ratings.csv (userId, movieId, rating, timestamp) as GroupLens
    packs them, or the same columns as .parquet. The category is the first genre; all genres and the year of the title
    become attributes. Pictures are those that movies.parquet names in a column `image`, else <movieId>.jpg in the folder
    `posters` (default: posters/ beside movies); films without one keep their title.

    Every rating is an impression, and from `liked` stars on also a click of the same second; both carry the `session_id`
    "<user>-<film>". Raises `UserError` when the folder holds neither form, or `posters` is no folder.
    """
    source = Path(source)
    require_apart(source, out)
    movies = _find(source)
    if posters is not None and not Path(posters).is_dir():
        raise UserError(f"--posters {posters}: no such folder; expected one that holds <movieId>.jpg.")
    films, torn_films = _read(movies, CATALOG, "movieId", "title", "genres")
    films = films.with_columns(_pictures(films, movies.parent, posters))
    catalog, bad_films = normalise(_films(films), CATALOG, FILMS, ["genres", "year"], source=str(movies))
    rated = movies.with_stem("ratings")
    rates, torn_rates = _read(rated, RATINGS, "userId", "movieId", "rating", "timestamp")
    ratings, bad_ratings = normalise(
        rates.with_columns(session_id=pl.format("{}-{}", "userId", "movieId")),
        RATINGS, RATES, products=catalog["product_id"], source=str(rated),
    )  # fmt: skip
    events, _ = normalise(_events(ratings, liked), EVENTS)
    people, clicks = ratings["user_id"].n_unique(), events.filter(action="click").height
    notes = [f"{people:,} people; {clicks:,} of {ratings.height:,} ratings are {liked:g} or more"]
    if absent := catalog["image"].null_count():
        notes.append(f"{absent:,} of {catalog.height:,} films have no poster; they keep their title")
    rejected = [bad_films, torn_films, bad_ratings, torn_rates]
    return write_tables(out, {"catalog": catalog, "events": events}, rejected, notes)


def _find(source: Path) -> Path:
    """The table of films that has its ratings beside it; the archive unpacks to a folder that holds both."""
    for pattern in ("movies.parquet", "movies.csv", "*/movies.csv"):
        for movies in sorted(source.glob(pattern)):
            if movies.with_stem("ratings").is_file():
                return movies
    raise UserError(
        f"{source}: found no movies.csv with ratings.csv beside it; expected an unpacked MovieLens download, "
        "such as ml-latest-small or ml-25m."
    )


def _read(path: Path, spec: TableSpec, *columns: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of a table with at least `columns`, and its lines that cannot be read as rejected ones."""
    if path.suffix == ".parquet":
        frame, torn = read_parquet(path).with_row_index(ROW), pl.DataFrame(schema=REJECTED)
    else:
        frame, broken = read_csv(path)
        torn = rejected_lines(spec, broken)
    require_columns(frame, path, *columns)
    return frame, torn


def _pictures(films: pl.DataFrame, folder: Path, posters: Path | None) -> pl.Series:
    """Full path of each film's picture, null where there is none."""
    if posters is None and "image" in films.columns:
        return existing(folder, films["image"])
    names = films.select(image=pl.format("{}.jpg", pl.col("movieId").cast(pl.String).str.strip_chars())).to_series()
    return existing(Path(posters or folder / "posters"), names)


def _films(films: pl.DataFrame) -> pl.DataFrame:
    """`genre`, the first one, `genres` as a list in words, the title and its `year` apart."""
    parts = pl.col("title").str.extract_groups(YEAR).struct
    genres = pl.col("genres").replace(NO_GENRES, None)
    return films.with_columns(
        title=pl.coalesce(parts[0], "title"), year=parts[1],
        genre=genres.str.split("|").list.first(), genres=genres.str.replace_all("|", ", ", literal=True),
    )  # fmt: skip


def _events(ratings: pl.DataFrame, liked: float) -> pl.DataFrame:
    """In order of time, every click right after its impression."""
    both = pl.when(pl.col("rating") >= liked).then(["impression", "click"]).otherwise(["impression"])
    return ratings.sort("timestamp", maintain_order=True).with_columns(action=both).explode("action")
