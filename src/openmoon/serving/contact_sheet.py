"""What a search found as one picture: the query on the left, the results beside it, right ones framed green."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from PIL import Image, ImageDraw

from openmoon.data.images import ImageRejected, load_image
from openmoon.errors import UserError
from openmoon.io import atomic_path
from openmoon.serving.letters import font, wrap

COLUMNS, SIDE, GAP, PAD = 5, 220, 20, 12  # results in a row, side of a picture, between cards, inside a card
TITLE_LINES, LINE = 2, 20
CARD_WIDTH, CARD_HEIGHT = SIDE + 2 * PAD, SIDE + 3 * PAD + (TITLE_LINES + 1) * LINE
PAGE, CARD, EDGE, NEUTRAL = "#f6f5f2", "#ffffff", "#dddad3", "#eceae5"
INK, SOFT, RIGHT, ASKED = "#1f2328", "#6b6f76", "#1a7f4b", "#b9bec6"


def write_contact_sheet(
    path: Path, results: pl.DataFrame, query_text: str | None = None, query_image: Path | None = None
) -> None:
    """Draw a query and its results as a PNG, atomically.

    Args:
        path: where the PNG goes.
        results: rank, score, title and image (a path; both may be null), best first; with a column `correct` (bool) the
            right ones get a green frame and a tick, without it nothing is judged.
        query_text, query_image: what was asked; at least one.

    A missing or unreadable picture is a neutral card. Raises `UserError` when there is no result to draw.
    """
    if results.is_empty():
        raise UserError(f"{path}: no result to draw.")
    rows = -(-len(results) // COLUMNS)
    columns = min(COLUMNS, len(results))
    left = GAP + CARD_WIDTH + 2 * GAP
    size = (left + columns * (CARD_WIDTH + GAP), GAP + rows * (CARD_HEIGHT + GAP))
    sheet = Image.new("RGB", size, PAGE)
    _query_card(sheet, query_text, query_image)
    for place, row in enumerate(results.iter_rows(named=True)):
        corner = (left + place % COLUMNS * (CARD_WIDTH + GAP), GAP + place // COLUMNS * (CARD_HEIGHT + GAP))
        _result_card(sheet, corner, row)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


def _query_card(sheet: Image.Image, text: str | None, image: Path | None) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.rounded_rectangle((GAP, GAP, GAP + CARD_WIDTH, GAP + CARD_HEIGHT), 10, fill=INK)
    left, top, lines = GAP + PAD, GAP + PAD, CARD_HEIGHT // LINE - 2
    if image is not None:
        _picture(sheet, (left, top), image)
        top, lines = top + SIDE + PAD, TITLE_LINES
    draw.text((left, top), "QUERY", font=font(14, bold=True), fill=ASKED)
    letters = font(14, text=text or "")
    for line in wrap(text or "", letters, SIDE, lines):
        top += LINE
        draw.text((left, top), line, font=letters, fill=CARD)


def _result_card(sheet: Image.Image, corner: tuple[int, int], row: dict[str, object]) -> None:
    draw = ImageDraw.Draw(sheet)
    x, y = corner
    correct = row.get("correct")
    edge, width = (RIGHT, 4) if correct else (EDGE, 1)
    draw.rounded_rectangle((x, y, x + CARD_WIDTH, y + CARD_HEIGHT), 10, fill=CARD, outline=edge, width=width)
    image, title = row.get("image"), row.get("title")
    _picture(sheet, (x + PAD, y + PAD), Path(str(image)) if image else None)
    top = y + SIDE + 2 * PAD
    rank = f"{row['rank']}" + ("  ✓ right" if correct else "")
    draw.text((x + PAD, top), rank, font=font(14, bold=True), fill=RIGHT if correct else INK)
    draw.text((x + PAD + SIDE, top), f"{row['score']:.3f}", font=font(14), fill=SOFT, anchor="ra")
    shown = str(title) if title else "(no title)"
    letters = font(14, text=shown)
    for line in wrap(shown, letters, SIDE, TITLE_LINES):
        top += LINE
        draw.text((x + PAD, top), line, font=letters, fill=INK if title else SOFT)


def _picture(sheet: Image.Image, corner: tuple[int, int], path: Path | None) -> None:
    """The whole picture, centred in its square."""
    x, y = corner
    try:
        picture = Image.fromarray(load_image(path, None)) if path else None
    except ImageRejected:
        picture = None
    if picture is None:
        draw = ImageDraw.Draw(sheet)
        draw.rounded_rectangle((x, y, x + SIDE, y + SIDE), 6, fill=NEUTRAL)
        label = "unreadable picture" if path else "no picture"
        draw.text((x + SIDE // 2, y + SIDE // 2), label, font=font(14), fill=SOFT, anchor="mm")
        return
    scale = SIDE / max(picture.size)
    fitted = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
    sheet.paste(fitted, (x + (SIDE - fitted.width) // 2, y + (SIDE - fitted.height) // 2))
