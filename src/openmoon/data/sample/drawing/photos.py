"""Shopper photos: a product cut out, turned, laid on a cluttered surface, badly lit and shot with a phone.

The same photographer serves drawn products and the photos of a real catalogue (`cut_out`).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from openmoon.data.images import load_image
from openmoon.data.perspective import perspective
from openmoon.data.regions import along_rows
from openmoon.data.sample.drawing.render import SIZE, Cutout

_FLOORS = np.array(
    [
        (176, 140, 100),
        (120, 82, 54),
        (206, 200, 190),
        (150, 152, 156),
        (92, 100, 92),
        (214, 190, 160),
        (86, 60, 52),
        (182, 176, 150),
        (110, 124, 140),
        (232, 228, 222),
        (138, 70, 62),
        (64, 66, 74),
    ],
    dtype=np.float32,
)


def shopper_photo(cutout: Cutout, random: np.random.Generator) -> tuple[Image.Image, int]:
    """A phone photo of the product at 224 px, and the JPEG quality (45–85) to save it with."""
    rgb, alpha = _placed(cutout, random)
    scene = _scene(random)
    shadow = _fallen(alpha, random)
    scene *= 1 - random.uniform(0.25, 0.5) * shadow[..., None]
    scene += alpha[..., None] * (rgb - scene)
    if random.random() < 0.3:
        _occlude(scene, random)
    picture = Image.fromarray(np.clip(_lit(scene, random), 0, 255).astype(np.uint8))
    blur = random.gamma(1.5, 0.35)
    if blur > 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(min(blur, 1.6)))
    return picture, int(random.integers(45, 86))


def cut_out(path: Path) -> Cutout:
    """Cut a product out of a real catalogue photo: what differs from the colour of the picture's border.

    A photo without an even backdrop stays a full rectangle. Raises `ImageRejected` where the picture cannot be read.
    """
    picture = ImageOps.contain(Image.fromarray(load_image(path, None)), (SIZE, SIZE), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (SIZE, SIZE), picture.getpixel((0, 0)))
    canvas.paste(picture, ((SIZE - picture.width) // 2, (SIZE - picture.height) // 2))
    rgb = np.asarray(canvas, dtype=np.float32)
    border = np.concatenate([rgb[:3].reshape(-1, 3), rgb[:, :3].reshape(-1, 3), rgb[:, -3:].reshape(-1, 3)])
    difference = np.abs(rgb - np.median(border, axis=0)).max(axis=2)
    coverage = _off_backdrop(difference < 14)
    if coverage.mean() < 0.35:  # perhaps a product nearly as white as the backdrop
        gentle = _off_backdrop(difference < 4)
        coverage = gentle if coverage.mean() < 0.7 * gentle.mean() else coverage
    return Cutout(rgb, coverage if 0.02 < coverage.mean() < 0.9 else np.ones((SIZE, SIZE), dtype=np.float32))


def _off_backdrop(near: np.ndarray) -> np.ndarray:
    """Coverage: all but the backdrop-coloured pixels that are connected to the border; white parts inside stay."""
    backdrop = np.zeros_like(near)
    backdrop[[0, -1]], backdrop[:, [0, -1]] = near[[0, -1]], near[:, [0, -1]]
    for _ in range(4):
        backdrop = along_rows(along_rows(backdrop, near).T, near.T).T
    solid = (
        Image.fromarray(~backdrop)
        .convert("L")
        .filter(ImageFilter.MedianFilter(3))
        .filter(ImageFilter.GaussianBlur(1.0))
    )
    return np.clip(np.asarray(solid, dtype=np.float32) / 127.5 - 0.9, 0, 1)  # a little inside, to lose the white fringe


def _placed(cutout: Cutout, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The product scaled, turned, shifted and seen from a slant: rgb (224, 224, 3) and coverage (224, 224)."""
    angle = random.normal(0, 0.22)
    scale = random.uniform(0.62, 0.98)
    c, s = np.cos(angle) * scale * SIZE / 2, np.sin(angle) * scale * SIZE / 2
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) @ np.array([(c, s), (-s, c)])
    slack = SIZE * (0.06 + 0.5 * (1 - scale) * 0.7)
    corners += SIZE / 2 + random.uniform(-slack, slack, 2) + random.normal(0, 0.035 * SIZE, (4, 2))
    coefficients = perspective(corners, np.array([(0, 0), (SIZE, 0), (SIZE, SIZE), (0, SIZE)]))
    layered = np.dstack([cutout.rgb, cutout.coverage * 255]).astype(np.uint8)
    moved = Image.fromarray(layered, "RGBA").transform(
        (SIZE, SIZE), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
    )
    pixels = np.asarray(moved, dtype=np.float32)
    return pixels[..., :3], pixels[..., 3] / 255


def _scene(random: np.random.Generator) -> np.ndarray:
    """A floor or table with things lying around, (224, 224, 3) float32."""
    half = SIZE // 2
    floor = _FLOORS[random.integers(len(_FLOORS))] + random.normal(0, 10, 3).astype(np.float32)
    surface = _surfaces()[random.integers(4)]
    turned = np.rot90(surface, int(random.integers(4)))
    picture = Image.new("RGB", (half, half), tuple(floor.clip(0, 255).astype(int).tolist()))
    pen = ImageDraw.Draw(picture)
    for _ in range(random.integers(2, 7)):
        _thing(pen, half, random)
    picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 2.0))).resize(
        (SIZE, SIZE), Image.Resampling.BILINEAR
    )
    return np.asarray(picture, dtype=np.float32) * (1 + random.uniform(0.3, 1.0) * turned[..., None])


def _thing(pen: ImageDraw.ImageDraw, side: int, random: np.random.Generator) -> None:
    """Something lying around, mostly near the edge of the picture."""
    grey = random.uniform(30, 225)
    colour = tuple(int(np.clip(c, 5, 250)) for c in grey + random.normal(0, 42, 3))
    turn = random.uniform(0, 2 * np.pi)
    reach = side * random.uniform(0.3, 0.62)
    x, y = side / 2 + reach * np.cos(turn), side / 2 + reach * np.sin(turn)
    w, h = random.uniform(0.06, 0.3, 2) * side
    kind = random.integers(3)
    if kind == 0:
        pen.ellipse((x - w, y - h, x + w, y + h), fill=colour)
    elif kind == 1:
        a = random.uniform(0, np.pi)
        c, s = np.cos(a), np.sin(a)
        pen.polygon(
            [(x + dx * c - dy * s, y + dx * s + dy * c) for dx, dy in ((-w, -h), (w, -h), (w, h), (-w, h))], fill=colour
        )
    else:
        pen.line(
            [(x, y), (x + random.normal(0, side / 3), y + random.normal(0, side / 3))],
            fill=colour,
            width=int(random.integers(2, 9)),
        )


@lru_cache(maxsize=1)
def _surfaces() -> tuple[np.ndarray, ...]:
    """Four relative textures of mean 0: planks, carpet, tiles, crumpled cloth."""
    random = np.random.default_rng(11)
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)

    def noise(rows: int, columns: int) -> np.ndarray:
        cells = random.uniform(-1, 1, (rows, columns)).astype(np.float32)
        return np.asarray(Image.fromarray(cells).resize((SIZE, SIZE), Image.Resampling.BICUBIC))

    planks = 0.10 * noise(40, 4) + 0.08 * np.sin(x * 0.3 + 3 * noise(3, 6)) - 0.3 * (y % 45 < 2)
    carpet = 0.16 * noise(150, 150) + 0.06 * noise(12, 12)
    tiles = 0.04 * noise(30, 30) - 0.22 * ((x % 56 < 3) | (y % 56 < 3))
    cloth = 0.2 * noise(6, 7) + 0.03 * noise(90, 90)
    return planks, carpet, tiles, cloth


def _fallen(alpha: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The product's shadow on the surface."""
    coarse = Image.fromarray((alpha * 255).astype(np.uint8)).reduce(4)
    dx, dy = random.uniform(-3.5, 3.5), random.uniform(0.5, 4)
    moved = coarse.transform(coarse.size, Image.Transform.AFFINE, (1, 0, -dx, 0, 1, -dy), Image.Resampling.BILINEAR)
    return (
        np.asarray(
            moved.filter(ImageFilter.GaussianBlur(1.8)).resize((SIZE, SIZE), Image.Resampling.BILINEAR),
            dtype=np.float32,
        )
        / 255
    )


def _occlude(scene: np.ndarray, random: np.random.Generator) -> None:
    """A finger or another thing reaches into the picture from an edge."""
    mask = Image.new("L", (SIZE // 2, SIZE // 2))
    side, along = random.integers(4), random.uniform(0.15, 0.85)
    x, y = [(along, 0.0), (1.0, along), (along, 1.0), (0.0, along)][side]
    w, h = random.uniform(0.06, 0.13), random.uniform(0.12, 0.2)
    if side % 2:
        w, h = h, w
    half = SIZE / 2
    ImageDraw.Draw(mask).ellipse(((x - w) * half, (y - h) * half, (x + w) * half, (y + h) * half), fill=255)
    cover = (
        np.asarray(mask.filter(ImageFilter.GaussianBlur(0.8)).resize((SIZE, SIZE)), dtype=np.float32)[..., None] / 255
    )
    skin = np.array((222, 170, 140), np.float32) * random.uniform(0.45, 1.1)
    scene += cover * (skin - scene)


def _lit(scene: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Uneven light, a colour cast, contrast and sensor noise."""
    direction = random.uniform(0, 2 * np.pi)
    ramp = np.linspace(-1, 1, SIZE, dtype=np.float32)
    falloff = random.uniform(0.0, 0.32) * (np.cos(direction) * ramp[None, :] + np.sin(direction) * ramp[:, None])
    warmth = random.normal(0, 0.09)
    cast = np.array((1 + warmth, 1 + random.normal(0, 0.03), 1 - warmth), np.float32) * random.uniform(0.72, 1.18)
    noise = random.standard_normal((SIZE // 2, SIZE // 2), dtype=np.float32) * random.uniform(1, 7)
    contrast = random.uniform(0.8, 1.1)
    lit = scene * (1 + falloff)[..., None] * cast + noise.repeat(2, 0).repeat(2, 1)[..., None]
    return 118 + contrast * (lit - 118) + random.uniform(-8, 14)
