"""The contact sheet: right results framed, long titles broken, missing pictures drawn as cards."""

import numpy as np
import polars as pl
import pytest
from PIL import Image

from openmoon.errors import UserError
from openmoon.serving.contact_sheet import CARD_HEIGHT, CARD_WIDTH, COLUMNS, GAP, PAD, RIGHT, write_contact_sheet


def results(count, **columns):
    ranks = range(1, count + 1)
    images = columns.pop("image", [None] * count)
    frame = {"rank": ranks, "score": [1 / rank for rank in ranks], "title": [f"product {rank}" for rank in ranks]}
    return pl.DataFrame({**frame, "image": pl.Series(images, dtype=pl.String), **columns})


def test_only_right_results_are_framed_green(tmp_path):
    Image.new("RGB", (30, 60), "red").save(tmp_path / "red.png")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    images = [str(tmp_path / "red.png"), str(tmp_path / "broken.jpg"), None, None, None, None]
    frame = results(6, image=images, correct=[True, False, False, False, False, True])
    write_contact_sheet(tmp_path / "sheet.png", frame, "red " * 100, tmp_path / "red.png")
    sheet = Image.open(tmp_path / "sheet.png")
    left = 3 * GAP + CARD_WIDTH
    assert sheet.size == (left + COLUMNS * (CARD_WIDTH + GAP), GAP + 2 * (CARD_HEIGHT + GAP))
    green = tuple(bytes.fromhex(RIGHT[1:]))
    for place, right in enumerate(frame["correct"]):
        x, y = left + place % COLUMNS * (CARD_WIDTH + GAP), GAP + place // COLUMNS * (CARD_HEIGHT + GAP)
        assert (sheet.getpixel((x + CARD_WIDTH // 2, y + 1)) == green) == right
    first = np.asarray(sheet)[GAP + PAD : GAP + PAD + 220, left + PAD : left + PAD + 220]
    assert tuple(first[110, 110]) == (255, 0, 0)
    assert tuple(first[110, 5]) == (255, 255, 255)  # a tall picture is shown whole, not cropped


def test_without_judgement_nothing_is_green(tmp_path):
    write_contact_sheet(tmp_path / "sheet.png", results(2), query_text="boots")
    pixels = np.asarray(Image.open(tmp_path / "sheet.png")).reshape(-1, 3)
    assert not (pixels == list(bytes.fromhex(RIGHT[1:]))).all(axis=1).any()


def test_no_result(tmp_path):
    with pytest.raises(UserError, match="no result to draw"):
        write_contact_sheet(tmp_path / "sheet.png", results(0), query_text="boots")
