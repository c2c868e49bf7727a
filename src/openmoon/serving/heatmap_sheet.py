"""Heatmaps as one picture for people: what the encoder saw, and beside it what mattered, all panels on one colour scale."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

from openmoon.evaluation.heatmap import Heatmap
from openmoon.io import atomic_path
from openmoon.serving.contact_sheet import CARD, INK, SOFT
from openmoon.serving.letters import font, wrap

BIG, SMALL, GAP, LINE, LABEL = 360, 160, 24, 26, 24
MOST_WORDS, DOWN = 6, 2  # words that are drawn, in so many rows
SCALE = (220, 12)  # the colour bar
COLOURS = matplotlib.colormaps["inferno"]  # perceptually uniform: equal steps of a map look equal


def write_text_sheet(path: Path, picture: np.ndarray, whole: Heatmap, words: list[Heatmap]) -> None:
    """Draw a picture (S, S, 3), the map of a text over it, and the maps of its strongest words, as a PNG, atomically."""
    strongest = np.argsort([-word.map.max() for word in words])[:MOST_WORDS]
    shown = [words[place] for place in sorted(strongest)] if len(words) > 1 else []
    top = max(one.map.max() for one in (whole, *shown))
    columns = -(-len(shown) // DOWN)
    head, right = 2 * GAP + 2 * LINE, 2 * BIG + 4 * GAP
    size = (right + columns * (SMALL + GAP) if columns else right - GAP, head + LABEL + BIG + 3 * GAP)
    alone = "; at the right each word alone" if shown else ""
    alone += f", the strongest {MOST_WORDS} of {len(words)}" if len(words) > MOST_WORDS else ""
    sheet = _page(size, f"“{whole.label}”", f"cosine similarity {whole.similarity:.2f}{alone}", top)
    _panel(sheet, (GAP, head), BIG, "what the encoder sees", picture)
    _panel(sheet, (BIG + 2 * GAP, head), BIG, "what speaks for the whole text", overlay(picture, whole.map, top, BIG))
    for place, word in enumerate(shown):
        corner = (right + place % columns * (SMALL + GAP), head + place // columns * (BIG - SMALL))
        _panel(sheet, corner, SMALL, word.label, overlay(picture, word.map, top, SMALL), f"{word.similarity:.2f}")
    _save(sheet, path)


def write_match_sheet(path: Path, pictures: tuple[np.ndarray, np.ndarray], maps: tuple[Heatmap, Heatmap]) -> None:
    """Draw two pictures (S, S, 3) that match, each with the map of what it shares with the other, as a PNG, atomically."""
    top, head = max(one.map.max() for one in maps), 2 * GAP + 2 * LINE
    side = 300
    sheet = _page((4 * side + 6 * GAP, head + LABEL + side + 3 * GAP), "Why these two match",
                  f"cosine similarity {maps[0].similarity:.2f}", top)  # fmt: skip
    for place, (picture, one) in enumerate(zip(pictures, maps, strict=True)):
        left = GAP + place * (2 * side + 3 * GAP)
        _panel(sheet, (left, head), side, one.label, picture)
        _panel(sheet, (left + side + GAP, head), side, "what it shares with the other",
               overlay(picture, one.map, top, side))  # fmt: skip
    _save(sheet, path)


def overlay(picture: np.ndarray, heat: np.ndarray, top: float, side: int) -> np.ndarray:
    """(side, side, 3) uint8: the picture's light in the map's colours, from 0 (and below) to `top`."""
    light = np.asarray(Image.fromarray(picture).convert("L").resize((side, side), Image.Resampling.BICUBIC)) / 255
    smooth = Image.fromarray(heat.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    colour = COLOURS(np.clip(np.asarray(smooth) / max(top, 1e-9), 0, 1))[..., :3]
    light = light[..., None]
    return (255 * (0.8 * colour * (0.4 + 0.6 * light) + 0.2 * light)).round().astype(np.uint8)


def _page(size: tuple[int, int], title: str, subtitle: str, top: float) -> Image.Image:
    sheet = Image.new("RGB", size, CARD)
    draw = ImageDraw.Draw(sheet)
    letters = font(20, bold=True, text=title)
    (line, *_) = wrap(title, letters, size[0] - 2 * GAP, 1)
    draw.text((GAP, GAP), line, font=letters, fill=INK)
    draw.text((GAP, GAP + LINE + 4), subtitle, font=font(15), fill=SOFT)
    width, height = SCALE
    y = size[1] - GAP - height
    bar = COLOURS(np.broadcast_to(np.linspace(0, 1, width), (height, width)))[..., :3]
    sheet.paste(Image.fromarray((bar * 255).astype(np.uint8)), (GAP, y))
    legend = f"0 to {max(top, 0):.3f}: what the similarity loses when the region is hidden (occlusion)"
    draw.text((GAP + width + 12, y + height / 2), legend, font=font(14), fill=SOFT, anchor="lm")
    return sheet


def _panel(sheet: Image.Image, corner: tuple[int, int], side: int, label: str, picture: np.ndarray, note: str = "") -> None:
    """A square picture under its label, with a note at the label's right end."""
    x, y = corner
    draw, letters = ImageDraw.Draw(sheet), font(14, text=label)
    room = side - (letters.getlength(note) + 8 if note else 0)
    (line, *_) = wrap(label, letters, int(room), 1)
    draw.text((x, y), line, font=letters, fill=INK)
    draw.text((x + side, y), note, font=letters, fill=SOFT, anchor="ra")
    sheet.paste(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS), (x, y + LABEL))


def _save(sheet: Image.Image, path: Path) -> None:
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")
