"""Letters on contact sheets and heatmaps: which font has them, and where lines break."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.font_manager import findSystemFonts, get_font
from PIL import ImageFont

LATIN = frozenset(range(ord("!"), ord("~") + 1))
EVERYTHING = 200_000  # a font with as many letters draws all of them as boxes ("last resort" fonts)
FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def font(size: int, bold: bool = False, text: str = "") -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: the same letters on every machine. Where `text` has others (Chinese, Japanese,
    Korean), the installed font that has most of its letters; what none has is drawn as a box."""
    own = str(FOLDER / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"))
    wanted = {ord(letter) for letter in text if letter.isprintable()}
    if wanted <= _letters(own):
        return _open(own, size)
    return _open(max([own, *_installed()], key=lambda path: (len(wanted & _letters(path)), len(LATIN & _letters(path)))), size)


def wrap(text: str, font: ImageFont.FreeTypeFont, width: int, lines: int) -> list[str]:
    """Break `text` at spaces, or inside a long word, into at most `lines` lines of `width` pixels; … marks a cut."""
    rest, broken = " ".join(text.split()), list[str]()
    while rest and len(broken) < lines:
        end = max(1, _fitting(rest, font, width))
        if end < len(rest) and (space := rest.rfind(" ", 1, end + 1)) > 0:
            end = space
        broken.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    if rest and broken:
        last = broken[-1]
        while last and font.getlength(last + "…") > width:
            last = last[:-1]
        broken[-1] = last.rstrip() + "…"
    return broken


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: int) -> int:
    """How many letters of `text` fit; looks no further than twice as far, since descriptions are long."""
    most = 1
    while most < len(text) and font.getlength(text[:most]) <= width:
        most *= 2
    most = min(most, len(text))
    return bisect_right(range(most + 1), 0, key=lambda count: font.getlength(text[:count]) > width) - 1


@cache
def _open(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


@cache
def _installed() -> list[str]:
    return sorted(findSystemFonts())


@cache
def _letters(path: str) -> frozenset[int]:
    try:
        found = get_font(path).get_charmap()
    except (RuntimeError, OSError):  # FreeType cannot open it, or it is gone: it draws nothing
        return frozenset()
    return frozenset(found) if len(found) < EVERYTHING else frozenset()
