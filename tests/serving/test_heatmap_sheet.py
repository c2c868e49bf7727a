"""The heatmap's picture: bright where the map is high, one scale for all panels, the strongest words in the text's order."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from openmoon.evaluation.heatmap import GRID, Heatmap
from openmoon.serving import heatmap_sheet
from openmoon.serving.heatmap_sheet import BIG, GAP, LABEL, LINE, overlay, write_match_sheet, write_text_sheet

GREY = np.full((64, 64, 3), 128, np.uint8)
TOP = 2 * GAP + 2 * LINE + LABEL  # where panels begin


def spot(label, strength, x=GRID // 2):
    """A map that is `strength` in one corner of the picture, negative elsewhere."""
    heat = np.full((GRID, GRID), -0.1)
    heat[: GRID // 2, :x] = strength
    return Heatmap(label, 0.5, heat)


def test_bright_is_high_and_negative_is_as_dark_as_zero():
    painted = overlay(GREY, spot("red", 0.2).map, 0.2, 100).sum(2)
    assert painted[10, 10] > 2 * painted[90, 90]
    np.testing.assert_array_equal(painted[70:], overlay(GREY, np.zeros((GRID, GRID)), 0.2, 100).sum(2)[70:])


@pytest.mark.parametrize("top", [0.0, -0.1])
def test_a_map_without_anything_positive_is_dark(top):
    assert overlay(GREY, np.full((GRID, GRID), top), top, 10).max() < 60


def test_the_strongest_words_are_drawn_in_their_order(tmp_path, monkeypatch):
    drawn = []
    panel = heatmap_sheet._panel
    monkeypatch.setattr(heatmap_sheet, "_panel", lambda *given: (drawn.append(given[3]), panel(*given)))
    words = [spot(f"word-{n}", strength) for n, strength in enumerate([0.3, 0.01, 0.2, 0.5, 0.02, 0.4, 0.6, 0.1])]
    write_text_sheet(tmp_path / "heat.png", GREY, spot("whole", 0.2), words)
    assert drawn[2:] == ["word-0", "word-2", "word-3", "word-5", "word-6", "word-7"]
    assert Image.open(tmp_path / "heat.png").size[0] > 2 * BIG + 4 * GAP


def test_one_word_needs_no_map_of_its_own(tmp_path):
    write_text_sheet(tmp_path / "heat.png", GREY, spot("boot", 0.2), [spot("boot", 0.2)])
    assert Image.open(tmp_path / "heat.png").size[0] == 2 * BIG + 3 * GAP


def test_both_pictures_share_one_scale(tmp_path):
    write_match_sheet(tmp_path / "heat.png", (GREY, GREY), (spot("a", 0.1), spot("b", 0.4)))
    sheet = np.asarray(Image.open(tmp_path / "heat.png")).sum(2)
    side, at = 300, TOP + 20
    picture, weak, strong = sheet[at, GAP + 20], sheet[at, 2 * GAP + side + 20], sheet[at, 5 * GAP + 3 * side + 20]
    assert picture == 3 * 128
    assert strong > 2 * weak
