"""Before and after co-augmentation as one picture: original, cut-out, expanded views, and the texts T and T⁺ beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from openmoon.errors import UserError
from openmoon.io import atomic_path
from openmoon.serving.contact_sheet import CARD, EDGE, INK, NEUTRAL, PAGE, SOFT
from openmoon.serving.letters import font, wrap

SIDE, GAP, PAD, LINE, BETWEEN = 190, 14, 12, 19, 5
WORDS = 560  # width of the texts
WRONG = "#c0392b"
Pixels = npt.NDArray[np.uint8]


class Item(NamedTuple):
    """A picture or a text of the sheet; `reason` says why it was left out, None for what is kept."""

    shown: Pixels | str | None
    label: str
    reason: str | None = None


class Shown(NamedTuple):
    """One product: its pictures from left to right, its texts from top to bottom."""

    pictures: Sequence[Item]
    texts: Sequence[Item]


def write_augmentation_sheet(path: Path, products: Sequence[Shown]) -> None:
    """Draw `products`, one a row as high as its texts, as a PNG, atomically. What was left out is red and has its reason.

    Raises `UserError` when there is no product to draw.
    """
    if not products:
        raise UserError(f"{path}: no product to draw.")
    columns = max(len(product.pictures) for product in products)
    width = GAP + columns * (SIDE + GAP) + WORDS + GAP
    written = [[_lines(item) for item in product.texts] for product in products]
    heights = [2 * PAD + max(SIDE + 3 * LINE, sum(len(lines) * LINE + BETWEEN for lines, _ in texts)) for texts in written]
    sheet = Image.new("RGB", (width, GAP + sum(heights) + len(products) * GAP), PAGE)
    draw, top = ImageDraw.Draw(sheet), GAP
    for product, texts, height in zip(products, written, heights, strict=True):
        draw.rounded_rectangle((GAP // 2, top, width - GAP // 2, top + height), 10, fill=CARD, outline=EDGE)
        for column, item in enumerate(product.pictures):
            _picture(sheet, (GAP + column * (SIDE + GAP), top + PAD), item)
        x, y = GAP + columns * (SIDE + GAP), top + PAD
        for item, (lines, letters) in zip(product.texts, texts, strict=True):
            for number, line in enumerate(lines):
                draw.text((x, y + number * LINE), line, font=letters, fill=WRONG if item.reason else INK)
            y += len(lines) * LINE + BETWEEN
        top += height + GAP
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


def on_checks(light: npt.NDArray[np.float32], cover: npt.NDArray[np.float32]) -> Pixels:
    """A premultiplied cut-out, (H, W, 3) and (H, W), on the checkerboard that means transparency."""
    height, width = cover.shape
    cell = max(4, min(height, width) // 16)
    y, x = np.mgrid[:height, :width] // cell
    checks = np.where((x + y) % 2, 225, 190)[..., None]
    return np.clip(light + (1 - cover[..., None]) * checks, 0, 255).astype(np.uint8)


def _picture(sheet: Image.Image, corner: tuple[int, int], item: Item) -> None:
    x, y = corner
    draw = ImageDraw.Draw(sheet)
    if isinstance(item.shown, np.ndarray):
        picture = Image.fromarray(item.shown)
        scale = SIDE / max(picture.size)
        fitted = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
        sheet.paste(fitted, (x + (SIDE - fitted.width) // 2, y + (SIDE - fitted.height) // 2))
    else:
        draw.rounded_rectangle((x, y, x + SIDE, y + SIDE), 6, fill=NEUTRAL)
    if item.reason:
        draw.rectangle((x, y, x + SIDE - 1, y + SIDE - 1), outline=WRONG, width=3)
    draw.text((x, y + SIDE + 4), item.label, font=font(12), fill=SOFT)
    for number, line in enumerate(wrap(item.reason or "", font(12), SIDE, 2), 1):
        draw.text((x, y + SIDE + 4 + number * LINE), line, font=font(12), fill=WRONG)


def _lines(item: Item) -> tuple[list[str], ImageFont.FreeTypeFont]:
    """A text and why it was left out, in lines, and the font that has its letters."""
    letters = font(14, text=f"{item.label} {item.shown} left out: {item.reason}…")
    lines = wrap(f"{item.label}  {item.shown}", letters, WORDS - PAD, 4)
    return lines + (wrap(f"left out: {item.reason}", letters, WORDS - PAD, 1) if item.reason else []), letters
