"""Draw creatives: a product in a scene, set off or lost in it, with or without clutter and a slogan."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from openmoon.data.sample.creatives import CreativePlan
from openmoon.data.sample.drawing.render import SIZE, Cutout

Colour = tuple[int, int, int]


def creative_picture(cutout: Cutout, plan: CreativePlan, random: np.random.Generator) -> Image.Image:
    """The creative that `plan` describes, 224 px."""
    scene = _backdrop(plan.scene, random)
    pen = ImageDraw.Draw(scene)
    for _ in range(plan.clutter):
        _clutter(pen, random)
    base = np.asarray(scene.filter(ImageFilter.GaussianBlur(0.8)), dtype=np.float32)
    own = np.average(cutout.rgb.reshape(-1, 3), axis=0, weights=cutout.coverage.reshape(-1) + 1e-6)
    base = base + 0.8 * (1 - plan.contrast) * (own - base)
    picture = _with_subject(base, cutout, plan.subject_size, random)
    if plan.text:
        _slogan(picture, plan.text, random)
    return picture


def _backdrop(scene: str, random: np.random.Generator) -> Image.Image:
    """One of six places, with a horizon a little higher or lower each time."""
    y = int(SIZE * random.uniform(0.45, 0.6))
    top, bottom = {
        "snow": ((182, 208, 232), (244, 248, 252)),
        "beach": ((120, 196, 232), (240, 218, 166)),
        "forest": ((190, 222, 200), (92, 130, 72)),
        "city": ((206, 210, 222), (128, 130, 138)),
        "party": ((64, 30, 92), (40, 20, 62)),
        "home": ((232, 218, 204), (160, 116, 78)),
    }[scene]
    picture = Image.new("RGB", (SIZE, SIZE), top)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, y, SIZE, SIZE), fill=bottom)
    across = random.uniform(0, SIZE, 12)
    {"snow": _snow, "beach": _beach, "forest": _forest, "city": _city, "party": _party, "home": _home}[scene](
        pen, y, across
    )
    return picture


def _snow(pen: ImageDraw.ImageDraw, y: int, across: np.ndarray) -> None:
    for x in across[:3]:
        pen.polygon([(x - 80, y), (x, y - 75), (x + 80, y)], fill=(146, 164, 188))
        pen.polygon([(x - 27, y - 50), (x, y - 75), (x + 27, y - 50), (x, y - 42)], fill=(250, 252, 255))
    for i, x in enumerate(across):
        pen.ellipse((x - 3, 17 * i, x + 3, 17 * i + 6), fill=(255, 255, 255))


def _beach(pen: ImageDraw.ImageDraw, y: int, across: np.ndarray) -> None:
    pen.rectangle((0, y - 26, SIZE, y), fill=(38, 138, 190))
    x = across[0]
    pen.ellipse((x - 20, 14, x + 20, 54), fill=(255, 226, 110))
    for x in across[1:4]:
        pen.line((x, y - 14, x + 24, y - 14), fill=(232, 246, 252), width=3)


def _forest(pen: ImageDraw.ImageDraw, y: int, across: np.ndarray) -> None:
    for i, x in enumerate(across[:8]):
        pen.rectangle((x - 4, y - 14, x + 4, y + 10), fill=(92, 64, 42))
        for k in range(3):
            pen.polygon(
                [(x - 26 + 5 * k, y - 8 - 24 * k), (x + 26 - 5 * k, y - 8 - 24 * k), (x, y - 50 - 24 * k)],
                fill=(30 + 6 * i, 92 + 5 * i, 52),
            )


def _city(pen: ImageDraw.ImageDraw, y: int, across: np.ndarray) -> None:
    for i, x in enumerate(across[:8]):
        top = y - 40 - (37 * i) % 70
        pen.rectangle((x - 18, top, x + 18, y), fill=(92 + 8 * i, 98 + 8 * i, 116 + 7 * i))
        for row in range(top + 8, y - 8, 14):
            pen.rectangle((x - 11, row, x - 4, row + 6), fill=(250, 232, 160))
            pen.rectangle((x + 4, row, x + 11, row + 6), fill=(250, 232, 160))


def _party(pen: ImageDraw.ImageDraw, y: int, across: np.ndarray) -> None:
    colours = ((250, 84, 120), (255, 206, 72), (92, 210, 230), (170, 230, 110))
    for i, x in enumerate(across):
        pen.ellipse((x - 8, (53 * i) % SIZE - 8, x + 8, (53 * i) % SIZE + 8), fill=colours[i % 4])
    for i, x in enumerate(range(0, SIZE, 28)):
        pen.polygon([(x, 0), (x + 28, 0), (x + 14, 26)], fill=colours[i % 4])


def _home(pen: ImageDraw.ImageDraw, y: int, across: np.ndarray) -> None:
    x = across[0] * 0.7
    pen.rectangle((x, 16, x + 66, 82), fill=(250, 250, 246))
    pen.rectangle((x + 5, 21, x + 61, 77), fill=(168, 208, 236))
    pen.line((x + 33, 16, x + 33, 82), fill=(250, 250, 246), width=4)
    for row in range(y, SIZE, 18):
        pen.line((0, row, SIZE, row), fill=(134, 94, 62), width=2)


def _clutter(pen: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    x, y = random.uniform(0, SIZE, 2)
    w, h = random.uniform(8, 30, 2)
    colour: Colour = tuple(random.integers(20, 240, 3).tolist())
    if random.random() < 0.5:
        pen.ellipse((x - w, y - h, x + w, y + h), fill=colour)
    else:
        pen.rectangle((x - w, y - h, x + w, y + h), fill=colour)


def _with_subject(base: np.ndarray, cutout: Cutout, size: float, random: np.random.Generator) -> Image.Image:
    """The product cropped to its outline, scaled so that its longer side is `size` of the picture, near the middle."""
    layered = Image.fromarray(np.dstack([cutout.rgb, cutout.coverage * 255]).astype(np.uint8), "RGBA")
    subject = layered.crop(layered.getchannel("A").getbbox())
    factor = size * SIZE / max(subject.size)
    subject = subject.resize(
        (max(1, round(subject.width * factor)), max(1, round(subject.height * factor))), Image.Resampling.BILINEAR
    )
    picture = Image.fromarray(base.clip(0, 255).astype(np.uint8))
    x = (SIZE - subject.width) / 2 + random.normal(0, 0.15) * (SIZE - subject.width) / 2
    y = (SIZE - subject.height) * random.uniform(0.5, 0.75)
    picture.paste(subject, (round(x), round(y)), subject)
    return picture


def _slogan(picture: Image.Image, text: str, random: np.random.Generator) -> None:
    """A ribbon with a slogan across the top or the bottom."""
    font = ImageFont.load_default(21)
    pen = ImageDraw.Draw(picture)
    ribbon: Colour = ((206, 32, 48), (24, 28, 40), (244, 196, 48))[int(random.integers(3))]
    y = 10 if random.random() < 0.5 else SIZE - 42
    width = pen.textlength(text, font=font)
    x = random.uniform(4, SIZE - width - 24) if width < SIZE - 30 else 4
    pen.rounded_rectangle((x, y, x + width + 20, y + 32), 7, fill=ribbon)
    pen.text((x + 10, y + 4), text, font=font, fill=(28, 24, 20) if ribbon[0] > 240 else (255, 255, 255))
