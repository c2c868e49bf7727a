"""What the steps start from: nothing is lost without a reason, and its identity follows what is learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from openmoon.builders.held_out import held_out_queries
from openmoon.builders.workspace import Workspace, cache_folder, open_workspace
from openmoon.config import Recipe
from openmoon.data.check import check_shop
from openmoon.data.image_cache import ImageCache
from openmoon.errors import UserError

PRODUCTS = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty products; p0 has a title that cleans to nothing, and each of the three tables names a picture that is not
    there."""
    rng = np.random.default_rng(0)
    for number in range(1, PRODUCTS):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(tmp_path / f"{number}.png")
    names = [f"p{number}" for number in range(PRODUCTS)]
    pl.DataFrame({
        "product_id": names, "title": [" . ", *(f"boot {name}" for name in names[1:])], "size": ["m"] * PRODUCTS,
        "label": ["shoe"] * PRODUCTS, "image": ["absent.png", *(f"{number}.png" for number in range(1, PRODUCTS))],
    }).write_parquet(tmp_path / "catalog.parquet")  # fmt: skip
    events = pl.DataFrame({
        "user_id": "u", "timestamp": "2024-01-01", "action": "click", "product_id": names,
        "query_text": [f"query {name}" for name in names], "query_image": None,
    }, schema_overrides={"query_image": pl.String})  # fmt: skip
    photo_only = events.tail(1).with_columns(query_text=pl.lit(None, pl.String), query_image=pl.lit("no-photo.png"))
    pl.concat([events, photo_only]).write_parquet(tmp_path / "events.parquet")
    pl.DataFrame({
        "creative_id": ["c"], "product_id": ["p1"], "image": ["no-creative.png"], "impressions": [2], "clicks": [1],
    }).write_parquet(tmp_path / "creatives.parquet")  # fmt: skip
    return tmp_path


def recipe(folder: Path, **data: object) -> Recipe:
    return Recipe.model_validate({
        "name": "tiny", "workdir": folder / "run", "encoder": {"image": {"size": 32}},
        "data": {"root": folder, "events": "events.parquet", "creatives": "creatives.parquet",
                 "split": {"val": 0.2, "test": 0.2}} | data,
    })  # fmt: skip


def opened(folder: Path, **data: object) -> Workspace:
    return open_workspace(recipe(folder, **data))


def test_rejected_holds_all_that_check_found_and_the_products_of_which_nothing_is_left(folder: Path) -> None:
    settings = recipe(folder)
    check_shop(settings.data, ImageCache(cache_folder(settings), 32), settings.workdir)
    checked = pl.read_parquet(settings.workdir / "rejected.parquet")
    work = open_workspace(settings)
    rejected = pl.read_parquet(settings.workdir / "rejected.parquet")
    assert checked.join(rejected, on=["table", "reason", "record"], how="anti", nulls_equal=True).is_empty()
    assert len(checked.filter(table="images")) == 3
    dropped = rejected.filter(table="catalog")
    assert dropped.select("product_id", "reason").rows() == [("p0", "neither a text nor a readable picture")]
    assert '"image":"absent.png"' in dropped["record"][0]
    assert "p0" not in work.items["product_id"]


def test_queries_of_which_nothing_is_left_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = opened(folder)
    capsys.readouterr()
    assert work.pairs["query_text"].null_count() == 0
    assert "1 query→item pairs dropped" in capsys.readouterr().err


def test_the_data_hash_is_that_of_what_is_learnt_from(folder: Path) -> None:
    first = opened(folder).data_hash
    assert len(first) == 16
    assert int(first, 16) >= 0
    events = pl.read_parquet(folder / "events.parquet")
    events.with_columns(session_id=pl.lit("s")).write_parquet(folder / "events.parquet")
    assert opened(folder).data_hash == first, "a column that nothing is learnt from"
    changes: list[dict[str, object]] = [
        {"columns": {"catalog": {"title": "label"}}}, {"attributes": ["size"]}, {"events": None},
        {"split": {"val": 0.2, "test": 0.2, "seed": 1}},
    ]  # fmt: skip
    hashes = [opened(folder, **change).data_hash for change in changes]
    events.with_columns(query_text=pl.col("query_text") + "s").write_parquet(folder / "events.parquet")
    hashes.append(opened(folder).data_hash)
    assert len({first, *hashes}) == len(changes) + 2


def test_events_without_any_query_have_a_data_hash(folder: Path) -> None:
    events = pl.read_parquet(folder / "events.parquet")
    events.with_columns(query_text=pl.lit(None, pl.String)).head(20).write_parquet(folder / "events.parquet")
    assert len(opened(folder).data_hash) == 16


def later(folder: Path) -> None:
    """A second event table beside the first: each query of events.parquet again on 2024-03-01, for the next product."""
    events = pl.read_parquet(folder / "events.parquet")
    again = events.with_columns(timestamp=pl.lit("2024-03-01"), product_id=pl.col("product_id").shift(-1).fill_null("p1"))
    pl.concat([events, again]).write_parquet(folder / "later.parquet")


def test_nothing_sees_events_from_the_moment_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    later(folder)
    before, whole = opened(folder), opened(folder, events="later.parquet")
    capsys.readouterr()
    cut = opened(folder, events="later.parquet", until="2024-03-01")
    assert "data.until: 31 of 62 events, from 2024-03-01 00:00:00 on, are left out" in capsys.readouterr().err
    assert cut.data_hash == before.data_hash != whole.data_hash
    assert cut.learnt_hash("posttrain") == cut.data_hash
    assert cut.learnt_hash("pretrain") == whole.learnt_hash("pretrain"), "stage 1 learns from no event"
    assert cut.pairs.equals(before.pairs)
    assert not cut.pairs.equals(whole.pairs)
    assert cut.met_products().equals(before.met_products())
    assert cut.learnt_events.equals(before.learnt_events)
    beyond = opened(folder, events="later.parquet", until="2024-03-01T00:00:01")
    assert beyond.data_hash == whole.data_hash, "every event is before it: nothing changes"


def test_unreadable_photos_are_reported_whatever_the_moment(folder: Path) -> None:
    later(folder)
    events = pl.read_parquet(folder / "later.parquet")
    photo = pl.when(timestamp="2024-03-01").then("query_image").alias("query_image")  # named in later events alone
    events.with_columns(photo).write_parquet(folder / "later.parquet")
    settings = recipe(folder, events="later.parquet", until="2024-03-01")
    open_workspace(settings)
    rejected = pl.read_parquet(settings.workdir / "rejected.parquet")
    assert rejected.filter(pl.col("record").str.contains("no-photo.png")).height == 1


def test_a_moment_before_all_events_is_an_error(folder: Path) -> None:
    with pytest.raises(UserError, match=r"data\.until: none of the 31 usable events is before .*first is of 2024-01-01"):
        opened(folder, until="2024-01-01")


def test_a_training_never_opens_the_labels_of_the_evaluation(folder: Path) -> None:
    settings = recipe(folder, queries="truth/queries.parquet")
    assert open_workspace(settings).shop.queries is None
    with pytest.raises(UserError, match=r"queries\.parquet"):
        open_workspace(settings, labels=True)
    with pytest.raises(ValueError, match="without its labels"):
        held_out_queries(open_workspace(settings))


@pytest.fixture
def photographed(folder: Path) -> tuple[Path, list[str]]:
    """`folder`, in which shoppers found two products for training by one photo and a third product, which is held out, by the
    same photo compressed again; a labelled query shows the latter. And the three."""
    split = dict(opened(folder).items.select("product_id", "split").iter_rows())
    first, second = [product for product, side in split.items() if side == "train"][:2]
    held_out = next(product for product, side in split.items() if side == "test")
    cells = np.random.default_rng(1).integers(0, 255, (8, 8, 3))
    photo = Image.fromarray(np.kron(cells, np.ones((8, 8, 1))).astype(np.uint8))
    for name, quality in (("sharp.jpg", 95), ("sent.jpg", 70)):
        photo.save(folder / name, quality=quality)
    events = pl.read_parquet(folder / "events.parquet")
    asked = pl.DataFrame({"query_image": ["sharp.jpg", "sharp.jpg", "sent.jpg"], "product_id": [first, second, held_out]})
    asked = asked.with_columns(user_id=pl.lit("v"), timestamp=pl.lit("2024-01-02"), action=pl.lit("click"))
    pl.concat([events, asked], how="diagonal").write_parquet(folder / "events.parquet")
    pl.DataFrame({
        "query_text": [None, "words of its own"], "query_image": ["sent.jpg", None], "product_id": [held_out] * 2,
    }).write_parquet(folder / "labels.parquet")  # fmt: skip
    return folder, [first, second, held_out]


@pytest.mark.parametrize("together", ["look-alikes", "spu"])
def test_a_photo_that_was_compressed_again_is_no_new_query(photographed: tuple[Path, list[str]], together: str) -> None:
    folder, (first, second, held_out) = photographed
    split = {"val": 0.2, "test": 0.2, "together": together}
    work = open_workspace(recipe(folder, queries="labels.parquet", split=split), labels=True)
    by_photo = work.pairs.filter(pl.col("query_image").is_not_null())
    taught = {first, second}
    assert set(by_photo["product_id"]) == (taught if together == "look-alikes" else taught | {held_out})
    asked = held_out_queries(work).select("query_text", pl.col("query_image").str.split("/").list.last()).rows()
    again = [] if together == "look-alikes" else [(None, "sent.jpg")]
    assert asked == [*again, ("words of its own", None)]


def test_events_that_were_all_rejected_are_said_to_be(folder: Path) -> None:
    events = pl.read_parquet(folder / "events.parquet").with_columns(product_id=pl.lit("stranger"))
    events.write_parquet(folder / "events.parquet")
    with pytest.raises(UserError, match=r"no usable row in it; all \d+ rows were rejected, .* product_id is not in the catalog"):
        _ = opened(folder).pairs
