"""Which queries are asked: nothing that was trained on, whatever its spelling."""

from __future__ import annotations

import polars as pl

from openmoon.steps.evaluate import _unseen


def frame(rows: list[tuple[str | None, str | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, {"query_text": pl.String, "query_image_key": pl.String}, orient="row")


def test_texts_and_photos_that_were_trained_on_are_taken_away() -> None:
    seen = frame([("red boots", None), (None, "photo-1"), ("blue mug", "photo-2")])
    asked = frame(
        [("Red  Boots ", "photo-9"), ("green lamp", "photo-1"), ("BLUE mug", None), ("new", "new"), (None, "photo-2")]
    )
    assert _unseen(asked, seen).rows() == [(None, "photo-9"), ("green lamp", None), ("new", "new")]


def test_without_training_nothing_is_taken_away() -> None:
    asked = frame([("red boots", None), (None, "photo-1")])
    assert _unseen(asked, frame([])).rows() == asked.rows()
