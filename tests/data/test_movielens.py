"""MovieLens, as GroupLens packs it or as Parquet with posters, becomes a catalogue and a log of what was seen and liked."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from openmoon.cli import app
from openmoon.config import DataConfig
from openmoon.data.importers import import_movielens
from openmoon.data.shop import Shop, load_shop
from openmoon.errors import UserError

MOVIES = """movieId,title,genres
7,Harbour Lights (1995),Adventure|Comedy
12,"Long Night, The (Die lange Nacht) (1996) ",Drama
30,Northern Rails: The Series (2006–2007),(no genres listed)
41,Paper Moths,Drama|Film-Noir
"""
RATINGS = """userId,movieId,rating,timestamp
1,7,4.0,964982703
1,12,3.5,964982703
1,41,5.0,964982000
2,7,0.5,1435000000
2,30,4.5,1436000000
2,99,4.0,1436000001
2,7,5.0,1437000000
2,41,good,1437000001
"""


def poster(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 6), "navy").save(path)
    return path.resolve()


@pytest.fixture
def download(tmp_path: Path) -> Path:
    """What ml-latest-small.zip unpacks to; the last three ratings cannot be used."""
    folder = tmp_path / "download" / "ml-latest-small"
    folder.mkdir(parents=True)
    (folder / "movies.csv").write_text(MOVIES, encoding="utf-8")
    (folder / "ratings.csv").write_text(RATINGS, encoding="utf-8")
    return folder


def loaded(folder: Path) -> Shop:
    return load_shop(DataConfig(root=folder, events=Path("events.parquet")))


def events(folder: Path) -> pl.DataFrame:
    table = loaded(folder).events
    assert table is not None
    return table


def test_films_have_titles_genres_and_years(download: Path, tmp_path: Path) -> None:
    import_movielens(download.parent, tmp_path / "out")
    catalog = loaded(tmp_path / "out").catalog
    assert catalog.select("product_id", "title", "category").rows() == [
        ("7", "Harbour Lights", "Adventure"), ("12", "Long Night, The (Die lange Nacht)", "Drama"),
        ("30", "Northern Rails: The Series", None), ("41", "Paper Moths", "Drama"),
    ]  # fmt: skip
    assert [json.loads(text) for text in catalog["attributes"]] == [
        {"genres": "Adventure, Comedy", "year": "1995"}, {"genres": "Drama", "year": "1996"}, {"year": "2006"},
        {"genres": "Drama, Film-Noir"},
    ]  # fmt: skip


def test_a_rating_is_an_impression_and_a_good_one_a_click_beside_it(download: Path, tmp_path: Path) -> None:
    report = import_movielens(download, tmp_path / "out")
    table = events(tmp_path / "out")
    assert table.select("session_id", "action").rows() == [
        ("1-41", "impression"), ("1-41", "click"), ("1-7", "impression"), ("1-7", "click"), ("1-12", "impression"),
        ("2-7", "impression"), ("2-30", "impression"), ("2-30", "click"),
    ]  # fmt: skip
    pair = table.filter(session_id="1-7").select("user_id", "product_id", "timestamp")
    assert pair.rows() == [("1", "7", dt.datetime(2000, 7, 30, 18, 45, 3))] * 2
    assert "2 people; 3 of 5 ratings are 4 or more" in str(report)
    shown, clicked = table.filter(action="impression"), table.filter(action="click")
    assert shown["session_id"].is_unique().all()
    assert clicked.join(shown, on=["user_id", "product_id", "session_id"]).height == clicked.height


def test_ratings_that_cannot_be_used_are_rejected_with_reasons(download: Path, tmp_path: Path) -> None:
    assert import_movielens(download, tmp_path / "out").rejected == 3
    rejected = pl.read_parquet(tmp_path / "out" / "rejected.parquet")
    assert rejected.select("table", "row", "reason").rows() == [
        ("ratings", 5, "product_id is not in the catalog: '99'"),
        ("ratings", 6, "session_id repeats an earlier row: '2-7'"),
        ("ratings", 7, "rating is not a number: 'good'"),
    ]


def test_what_counts_as_liked_can_be_moved(download: Path, tmp_path: Path) -> None:
    import_movielens(download, tmp_path / "out", liked=4.5)
    assert events(tmp_path / "out").filter(action="click")["session_id"].to_list() == ["1-41", "2-30"]


def test_posters_come_from_the_download_or_from_a_folder_of_their_own(download: Path, tmp_path: Path) -> None:
    beside, elsewhere = poster(download / "posters" / "7.jpg"), poster(tmp_path / "pictures" / "41.jpg")
    report = import_movielens(download, tmp_path / "out")
    assert loaded(tmp_path / "out").catalog["image"].to_list() == [str(beside), None, None, None]
    assert "3 of 4 films have no poster" in str(report)
    import_movielens(download, tmp_path / "out", posters=tmp_path / "pictures")
    assert loaded(tmp_path / "out").catalog["image"].to_list() == [None, None, None, str(elsewhere)]


def test_parquet_tables_give_the_same_and_name_their_posters(download: Path, tmp_path: Path) -> None:
    tidy = tmp_path / "tidy"
    picture = poster(tidy / "art" / "seven.jpg")
    named = pl.Series("image", ["art/seven.jpg", None, "art/gone.jpg", None])
    pl.read_csv(download / "movies.csv").with_columns(named).write_parquet(tidy / "movies.parquet")
    pl.read_csv(download / "ratings.csv").head(6).cast({"rating": pl.Float64}).write_parquet(tidy / "ratings.parquet")
    import_movielens(tidy, tmp_path / "from-parquet")
    import_movielens(download, tmp_path / "from-csv")
    a, b = (loaded(tmp_path / name).catalog for name in ("from-parquet", "from-csv"))
    assert a["image"].to_list() == [str(picture), None, None, None]
    assert a.drop("image").equals(b.drop("image"))
    assert events(tmp_path / "from-parquet").equals(events(tmp_path / "from-csv"))


def test_wrong_folders_and_columns_are_named(download: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder; expected one that holds <movieId>"):
        import_movielens(download, tmp_path / "out", posters=tmp_path / "none")
    with pytest.raises(UserError, match="choose another"):
        import_movielens(download, download)
    (download / "ratings.csv").write_text(RATINGS.replace("timestamp", "when"))
    with pytest.raises(UserError, match=r"ratings\.csv: no column 'timestamp'"):
        import_movielens(download, tmp_path / "out")
    (download / "ratings.csv").unlink()
    with pytest.raises(UserError, match=r"found no movies\.csv with ratings\.csv beside it"):
        import_movielens(download, tmp_path / "out")


def test_the_command_takes_its_options_for_this_set_alone(download: Path, tmp_path: Path) -> None:
    command = ["data", "import", "movielens", str(download), str(tmp_path / "out"), "--liked", "5"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "1 of 5 ratings are 5 or more" in done.output
    refused = CliRunner().invoke(app, [*command[:2], "fashion", *command[3:]])
    assert isinstance(refused.exception, UserError)
    assert "--liked is an option of movielens" in str(refused.exception)
