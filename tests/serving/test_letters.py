"""Lines that fit, in a font that has the letters."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from openmoon.serving import letters
from openmoon.serving.letters import FOLDER, font, wrap


def by_letters(text: str, drawn: ImageFont.FreeTypeFont, width: int, lines: int) -> list[str]:
    """`wrap` without its cuts, letter by letter."""
    rest, broken = " ".join(text.split()), list[str]()
    while rest and len(broken) < lines:
        end = 1
        while end < len(rest) and drawn.getlength(rest[: end + 1]) <= width:
            end += 1
        if end < len(rest) and (space := rest.rfind(" ", 1, end + 1)) > 0:
            end = space
        broken.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return [] if rest else broken


@given(st.text(max_size=200), st.integers(1, 4))
def test_wrapped_lines_fit_and_lose_nothing_unmarked(text: str, lines: int) -> None:
    drawn = font(14)
    broken = wrap(text, drawn, 100, lines)
    assert len(broken) <= lines
    assert all(drawn.getlength(line) <= 100 for line in broken if len(line) > 1)
    if broken and not broken[-1].endswith("…"):
        assert "".join("".join(broken).split()) == "".join(text.split())


@given(st.text("ab mW.", max_size=80))
def test_lines_are_as_full_as_can_be(text: str) -> None:
    assert (whole := by_letters(text, font(14), 100, 40)) == wrap(text, font(14), 100, 40)
    assert bool(whole) == bool(text.split())


def test_a_long_text_is_measured_no_further_than_needed() -> None:
    """A description of 100,000 letters; `measured` holds the lengths of what was asked for."""
    measured: list[int] = []

    class Counted:
        def getlength(self, text: str) -> float:
            measured.append(len(text))
            return 8.0 * len(text)

    assert wrap("w" * 100_000, Counted(), 220, 2)  # type: ignore[arg-type]
    assert max(measured) < 1_000
    assert len(measured) < 100


def test_letters_that_dejavu_lacks_are_drawn_by_a_font_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two fonts of which one has Latin letters alone; one that cannot be opened has none."""
    own, other = str(FOLDER / "DejaVuSans.ttf"), str(FOLDER / "STIXGeneral.ttf")
    held = {own: frozenset(map(ord, "mug ")), other: frozenset(map(ord, "mug 杯")), "broken": frozenset[int]()}
    monkeypatch.setattr(letters, "_installed", lambda: ["broken", other])
    monkeypatch.setattr(letters, "_letters", held.__getitem__)
    assert Path(str(font(14, text="mug").path)).name == "DejaVuSans.ttf"
    assert Path(str(font(14, text="mug 杯").path)).name == "STIXGeneral.ttf"
    assert Path(str(font(14, text="mug\n한").path)).name == "DejaVuSans.ttf", "what none has is a box"


def test_what_a_font_has(tmp_path: Path) -> None:
    dejavu = letters._letters(str(FOLDER / "DejaVuSans.ttf"))
    assert ord("é") in dejavu
    assert ord("杯") not in dejavu
    (tmp_path / "torn.ttf").write_bytes(b"no font")
    assert letters._letters(str(tmp_path / "torn.ttf")) == letters._letters(str(tmp_path / "absent.ttf")) == frozenset()
    assert letters._letters(str(FOLDER / "LastResortHE-Regular.ttf")) == frozenset(), "it has a box for every letter there is"
