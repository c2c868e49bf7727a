"""What training takes from the table: the kept rows, by product, in the order asked for."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from openmoon.data.coaugment.summary import summarise
from openmoon.data.coaugment.table import SCHEMA, Made, Origin, load_augmented, origin_of, write_table
from openmoon.errors import UserError

ROWS = [
    Made("b", "image", "expansion", image="images/b.jpg", recipe={"background": "plain"}, score=0.99),
    Made("a", "text", "templates", "first", score=1.0), Made("a", "text", "templates", "second", score=0.2, reason="strange"),
    Made("a", "text", "endpoint:m", "third", score=0.9), Made("c", "image", "expansion", reason="busy border"),
    Made("c", "text", "endpoint:m", "XL", reason="lost or changed: L"),
    Made("d", "text", "endpoint:m", "M", reason="lost or changed: M"),
    *(Made(n, "text", "endpoint:m", reason=f"no answer: HTTP 400 Bad Request (request {n})") for n in "ef"),
]  # fmt: skip

ORIGIN = Origin("0123", "4567", "{}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "b.jpg").touch()
    return tmp_path / "augmented.parquet"


def test_kept_rows_come_back_in_the_order_asked_for(path: Path) -> None:
    table = write_table(path, ROWS, ORIGIN)
    assert dict(table.schema) == SCHEMA
    assert len(table) == len(ROWS)
    assert origin_of(path) == ORIGIN
    found = load_augmented(path)
    assert found.texts_of(["c", "a", "nobody"]) == [[], ["third", "first"], []]
    assert found.images_of(["b", "a"]) == [[path.parent / "images" / "b.jpg"], []]
    assert write_table(path.with_name("again.parquet"), ROWS[1:] + ROWS[:1], ORIGIN).equals(table)


def test_the_summary_counts_every_row(path: Path) -> None:
    summary = summarise(write_table(path, ROWS, ORIGIN), 4)
    assert summary.kinds.select("kind", "source", "made", "kept", "products").rows() == [
        ("image", "expansion", 1, 1, 1), ("text", "endpoint:m", 3, 1, 1), ("text", "templates", 2, 1, 1),
    ]  # fmt: skip
    assert summary.reasons.rows() == [
        ("image", "expansion", "busy border", 1), ("text", "endpoint:m", "lost or changed", 2),
        ("text", "endpoint:m", "no answer: HTTP 400 Bad Request", 2),
        ("text", "templates", "strange", 1),
    ]  # fmt: skip


def test_what_is_missing_is_named(path: Path) -> None:
    with pytest.raises(UserError, match="no augmentation table here"):
        load_augmented(path)
    pl.DataFrame({"product_id": ["a"]}).write_parquet(path)
    assert origin_of(path) == Origin("", "", "")
    with pytest.raises(UserError, match="no column 'kind'"):
        load_augmented(path)
    write_table(path, ROWS, ORIGIN)
    (path.parent / "images" / "b.jpg").unlink()
    with pytest.raises(UserError, match=r"b\.jpg: .* it is gone"):
        load_augmented(path)
