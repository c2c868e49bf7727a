"""The before/after sheet: what was left out is framed red, what is kept is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openmoon.errors import UserError
from openmoon.serving.augmentation_sheet import GAP, PAD, SIDE, WRONG, Item, Shown, on_checks, write_augmentation_sheet

BLUE = np.full((30, 40, 3), (0, 0, 200), np.uint8)


def red_pixels(sheet: Image.Image, column: int) -> int:
    left, top = GAP + column * (SIDE + GAP), GAP + PAD
    pixels = np.asarray(sheet.crop((left, top, left + SIDE, top + SIDE))).reshape(-1, 3)
    return int((pixels == list(bytes.fromhex(WRONG[1:]))).all(1).sum())


def test_what_was_left_out_is_marked(tmp_path: Path) -> None:
    pictures = [Item(BLUE, "original"), Item(None, "cut-out", "busy border"), Item(BLUE, "score 0.1", "nearer to others")]
    texts = [Item("mug", "T"), Item("a long text " * 60, "T⁺", "lost or changed: XL")]
    write_augmentation_sheet(tmp_path / "sheet.png", [Shown(pictures, texts), Shown([Item(None, "no picture")], [])])
    sheet = Image.open(tmp_path / "sheet.png")
    assert red_pixels(sheet, 0) == 0
    assert red_pixels(sheet, 1) > 4 * SIDE
    assert red_pixels(sheet, 2) > 4 * SIDE
    assert sheet.getpixel((GAP + SIDE // 2, GAP + PAD + SIDE // 2)) == (0, 0, 200)
    with pytest.raises(UserError, match="no product to draw"):
        write_augmentation_sheet(tmp_path / "sheet.png", [])


def test_every_text_is_drawn_inside_its_card(tmp_path: Path) -> None:
    path, many = tmp_path / "sheet.png", [Item(f"text {n} " + "of many words " * 40, "T⁺") for n in range(9)]
    write_augmentation_sheet(path, [Shown([Item(BLUE, "original")], [*many, Item("last", "T⁺", "lost")])] * 2)
    words = np.asarray(Image.open(path))[:, GAP + SIDE + GAP :]
    red = np.flatnonzero((words == list(bytes.fromhex(WRONG[1:]))).all(2).any(1))
    assert (np.diff(red) > 100).sum() == 1, "the last text of both rows"
    written = np.flatnonzero((words.min(2) < 90).any(1))
    assert np.diff(written).max() >= 2 * PAD + GAP, "none lies between the cards"
    assert len(words) - written[-1] > PAD + GAP


def test_a_cut_out_lies_on_checks() -> None:
    cover = np.zeros((32, 32), np.float32)
    cover[:, 16:] = 1
    shown = on_checks(np.where(cover[..., None] > 0, BLUE[:1, :1], 0).astype(np.float32), cover)
    assert (shown[:, 16:] == BLUE[0, 0]).all()
    assert set(np.unique(shown[:, :16])) == {190, 225}
