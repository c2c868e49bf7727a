"""The public downloads as they come, odd lines included, become tables that load."""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from openmoon.config import DataConfig
from openmoon.data.importers import import_fashion, import_grocery
from openmoon.data.importers.output import existing
from openmoon.data.shop import load_shop
from openmoon.errors import UserError

STYLES = """id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName
15970,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011,Casual,Turtle Check Men Navy Blue Shirt
6394,Men,Apparel,Topwear,Shirts,Purple,Summer,2012,Formal,Reid & Taylor Men, Check Purple, Shirts
59263,Women,Accessories,Watches,Watches,Silver,Winter,2016,Casual,12" "Titan Women Silver Watch
39386,Men,Apparel
"""


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), "green").save(path)


@pytest.mark.parametrize("nested", [False, True])
def test_fashion_download(tmp_path: Path, nested: bool) -> None:
    source = tmp_path / "archive"
    folder = source / "fashion-dataset" if nested else source
    folder.mkdir(parents=True)
    (folder / "styles.csv").write_text(STYLES)
    photo(folder / "images" / "15970.jpg")
    report = import_fashion(source, tmp_path / "out")
    shop = load_shop(DataConfig(root=tmp_path / "out"))
    assert report.tables == {"catalog": 3}
    assert report.rejected == 1
    assert shop.catalog.select("product_id", "title", "category").rows() == [
        ("15970", "Turtle Check Men Navy Blue Shirt", "Shirts"),
        ("6394", "Reid & Taylor Men, Check Purple, Shirts", "Shirts"),
        ("59263", '12" "Titan Women Silver Watch', "Watches"),
    ]
    assert json.loads(shop.catalog["attributes"][0]) == {
        "gender": "Men", "masterCategory": "Apparel", "subCategory": "Topwear", "baseColour": "Navy Blue",
        "season": "Fall", "year": "2011", "usage": "Casual",
    }  # fmt: skip
    assert shop.catalog["image"].to_list() == [str((folder / "images" / "15970.jpg").resolve()), None, None]
    assert "1 titles hold commas" in str(report)
    assert "2 products have no photo" in str(report)


GOLDEN, GRANNY = "Fruit/Apple/Golden-Delicious/Golden-Delicious", "Fruit/Apple/Granny-Smith/Granny-Smith"
ICONS = "iconic-images-and-descriptions"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    data = tmp_path / "GroceryStoreDataset" / "dataset"
    for path in (f"{ICONS}/{GOLDEN}_Iconic.jpg", f"{ICONS}/{GRANNY}_Iconic.jpg", f"train/{GOLDEN}_001.jpg",
                 f"val/{GRANNY}_001.jpg", f"test/{GRANNY}_001.jpg"):  # fmt: skip
        photo(data / path)
    (data / f"{ICONS}/{GOLDEN}_Description.txt").write_text("White juicy pulp.\n")
    (data / f"{ICONS}/{GRANNY}_Description.txt").write_text("Green and sour.")
    (data / "classes.csv").write_text(
        "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),"
        "Iconic Image Path (str),Product Description Path (str)\n"
        f"Golden-Delicious,0,Apple,0,/{ICONS}/{GOLDEN}_Iconic.jpg,/{ICONS}/{GOLDEN}_Description.txt\n"
        f"Granny-Smith,1,Apple,0,/{ICONS}/{GRANNY}_Iconic.jpg,/{ICONS}/{GRANNY}_Descriptions\n"  # misspelt, as some are
    )
    (data / "train.txt").write_text(f"train/{GOLDEN}_001.jpg, 0, 0\ntrain/{GOLDEN}_002.jpg, 0, 0\n")
    (data / "val.txt").write_text(f"val/{GRANNY}_001.jpg, 1, 0\n")
    (data / "test.txt").write_text(f"test/{GRANNY}_001.jpg, 1, 0\n")
    return tmp_path / "GroceryStoreDataset"


def test_grocery_repository(repository: Path, tmp_path: Path) -> None:
    report = import_grocery(repository, tmp_path / "out")
    shop = load_shop(DataConfig(root=tmp_path / "out", events=Path("events.parquet")))
    assert report.tables == {"catalog": 2, "events": 3}
    assert report.rejected == 1
    assert shop.catalog.select("product_id", "title", "category", "attributes", "description").rows() == [
        ("0", "Golden Delicious", "Apple", '{"department":"Fruit"}', "White juicy pulp."),
        ("1", "Granny Smith", "Apple", '{"department":"Fruit"}', "Green and sour."),
    ]
    assert shop.events is not None
    assert shop.events.select("product_id", "action", "split").rows() == [
        ("0", "click", "train"), ("1", "click", "val"), ("1", "click", "test"),
    ]  # fmt: skip
    assert all(shop.image_path(image).is_file() for image in [*shop.events["query_image"], *shop.catalog["image"]])
    rejected = pl.read_parquet(tmp_path / "out" / "rejected.parquet")
    assert rejected["reason"].to_list() == ["the photo is not where the list says"]
    assert f"{GOLDEN}_002.jpg" in rejected["record"][0]


def test_wrong_folders_are_named(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(UserError, match=r"found neither styles\.csv"):
        import_fashion(tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match=r"found no dataset/classes\.csv"):
        import_grocery(tmp_path, tmp_path / "out")
    for name in ("train", "val", "test"):
        (repository / "dataset" / f"{name}.txt").unlink()
    with pytest.raises(UserError, match=r"found none of train\.txt"):
        import_grocery(repository, tmp_path / "out")
    with pytest.raises(UserError, match="choose another"):
        import_grocery(repository, repository)


@pytest.mark.parametrize("absent", ["product_id", "image"])
def test_a_tidied_fashion_catalogue_without_a_column_is_named(tmp_path: Path, absent: str) -> None:
    columns = ["product_id", "image", "title", "articleType"]
    pl.DataFrame({name: ["x"] for name in columns}).drop(absent).write_parquet(tmp_path / "catalog.parquet")
    with pytest.raises(UserError, match=rf"catalog\.parquet: no column '{absent}'"):
        import_fashion(tmp_path, tmp_path / "out")


def test_styles_without_a_column_are_named(tmp_path: Path) -> None:
    (tmp_path / "styles.csv").write_text(STYLES.replace("id,gender", "number,gender", 1))
    with pytest.raises(UserError, match=r"styles\.csv: no column 'id'"):
        import_fashion(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("table", "absent"),
    [("catalog", "product_id"), ("catalog", "image"), ("queries", "query_image"), ("queries", "product_id"),
     ("queries", "split")],
)  # fmt: skip
def test_tidied_grocery_tables_without_a_column_are_named(tmp_path: Path, table: str, absent: str) -> None:
    columns = {
        "catalog": ["product_id", "title", "image", "department"],
        "queries": ["query_image", "product_id", "split"],
    }
    for name, there in columns.items():
        kept = [column for column in there if (name, column) != (table, absent)]
        pl.DataFrame({column: ["train"] for column in kept}).write_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(UserError, match=rf"{table}\.parquet: no column '{absent}'"):
        import_grocery(tmp_path, tmp_path / "out")


def test_picture_names_that_are_no_files_are_missing_photos(tmp_path: Path) -> None:
    names = pl.Series("image", ["data:;base64," + "A" * 300, "nul\0.jpg", None])
    assert existing(tmp_path, names).to_list() == [None, None, None]


@pytest.mark.skipif(
    "OPENMOON_DOWNLOADS" not in os.environ, reason="OPENMOON_DOWNLOADS names no folder with the public downloads"
)
def test_real_downloads(tmp_path: Path) -> None:
    root = Path(os.environ["OPENMOON_DOWNLOADS"])
    assert import_fashion(root / "fashion", tmp_path / "fashion").rejected == 0
    report = import_grocery(root / "grocery", tmp_path / "grocery")
    assert report.tables["catalog"] == 81
    assert report.rejected == 0
