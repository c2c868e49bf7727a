"""Draw one product: parts → masks at twice the size → colour, pattern, grain, light → RGB and coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from openmoon.data.sample.drawing.geometry import Part, box, ellipse
from openmoon.data.sample.drawing.shapes import SHAPES
from openmoon.data.sample.drawing.textures import MATERIALS, Material, grain, pattern

SIZE = 224
_OVERSAMPLE = 2
_COARSE = 4  # light is computed on a grid this much coarser
_LIGHT = np.array([-0.55, -0.8], dtype=np.float32)  # from the upper left
_FIXED = {
    "light": (238, 236, 231),
    "dark": (42, 40, 44),
    "metal": (186, 186, 192),
    "glass": (186, 204, 196),
    "glow": (255, 240, 190),
}
_FIXED_MATERIAL = {"metal": MATERIALS["steel"], "glass": MATERIALS["glass"]}
_PLAIN = Material("smooth", 0.0, 0.12)


@dataclass(frozen=True)
class Look:
    """Everything that decides how a product looks. Colours are RGB in 0..255; `g` holds four proportions in [-1, 1]."""

    kind: str
    variant: str
    g: tuple[float, float, float, float]
    main: tuple[int, int, int]
    second: tuple[int, int, int]
    pattern: str
    period: float  # pixels at 224
    angle: float  # radians
    material: str
    mark: int  # which brand mark


class Cutout(NamedTuple):
    """A product without surroundings: rgb (224, 224, 3) float32 in 0..255 and coverage (224, 224) float32 in 0..1."""

    rgb: np.ndarray
    coverage: np.ndarray


def draw_product(look: Look) -> Cutout:
    """Render a product at 224 px, lit from the upper left, without background."""
    rgb = np.full((SIZE, SIZE, 3), 255, dtype=np.float32)
    coverage = np.zeros((SIZE, SIZE), dtype=np.float32)
    material = MATERIALS[look.material]
    cloth = _cloth(look, material)
    shape = SHAPES[look.kind]
    for part in [*shape.draw(look.variant, np.asarray(look.g)), *_mark(look.mark, *shape.mark_of(look.variant))]:
        _paint(rgb, coverage, part, look, cloth, material)
    return Cutout(rgb, coverage)


def catalogue_photo(look: Look, random: np.random.Generator) -> Image.Image:
    """The shop's own picture: near-white backdrop, a soft shadow, small differences in framing."""
    cutout = draw_product(look)
    backdrop = np.float32(random.uniform(244, 255))
    shadow = _shadow(cutout.coverage, 0.06, 6)
    canvas = np.repeat((backdrop * (1 - 0.28 * shadow))[..., None], 3, axis=2)
    alpha = cutout.coverage[..., None]
    return Image.fromarray((cutout.rgb * alpha + canvas * (1 - alpha)).astype(np.uint8))


def _cloth(look: Look, material: Material) -> np.ndarray:
    """The main surface over the whole picture, (224, 224, 3)."""
    main, second = np.array(look.main, np.float32), np.array(look.second, np.float32)
    share = pattern(look.pattern, SIZE, look.period, look.angle)
    colour = np.broadcast_to(main, (SIZE, SIZE, 3)) if share is None else main + share[..., None] * (second - main)
    return _grained(colour, material)


def _grained(colour: np.ndarray, material: Material) -> np.ndarray:
    texture = grain(material.grain, SIZE)
    if texture is None:
        return colour
    factor = 1 + material.depth * texture[..., None]
    return colour * factor + (factor - 1) * 40  # the constant keeps grain visible on black


def _paint(
    rgb: np.ndarray, coverage: np.ndarray, part: Part, look: Look, cloth: np.ndarray, material: Material
) -> None:
    """Lay one part over the picture: it darkens what is under its edge, then covers it with its lit surface."""
    mask, (top, left, bottom, right) = _mask(part)
    if mask.size == 0:
        return
    window = np.s_[top:bottom, left:right]
    if part.role == "main":
        surface, made_of = cloth[window], material
    else:
        made_of = _FIXED_MATERIAL.get(part.role, material if part.role == "second" else _PLAIN)
        surface = np.broadcast_to(_colour(part.role, look), (*mask.shape, 3))
        if part.role == "second" and (texture := grain(material.grain, SIZE)) is not None:
            surface = surface * (1 + 0.6 * material.depth * texture[window][..., None])
    alpha = mask[..., None]
    if part.relief > 0:
        light, highlight, edge = _light(mask, part.relief * made_of.round)
        surface = surface * light[..., None] + (255 * made_of.gloss) * highlight[..., None]
        rgb[window] *= 1 - 0.3 * edge[..., None]
    rgb[window] += alpha * (np.clip(surface, 0, 255) - rgb[window])
    np.maximum(coverage[window], mask, out=coverage[window])


def _mask(part: Part) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """The part's antialiased coverage inside its bounding box (with a margin for its shadow), and that box."""
    margin = 4 + int(part.width * SIZE)
    low = np.clip(np.floor(part.outline.min(axis=0) * SIZE).astype(int) - margin, 0, SIZE) // _COARSE * _COARSE
    high = np.clip(-(-(np.ceil(part.outline.max(axis=0) * SIZE).astype(int) + margin) // _COARSE) * _COARSE, 0, SIZE)
    width, height = (high - low).tolist()
    if width <= 0 or height <= 0:
        return np.zeros((0, 0), np.float32), (0, 0, 0, 0)
    picture = Image.new("L", (width * _OVERSAMPLE, height * _OVERSAMPLE))
    points = [tuple(p) for p in ((part.outline * SIZE - low) * _OVERSAMPLE).tolist()]
    pen = ImageDraw.Draw(picture)
    if part.width:
        thickness = max(1, round(part.width * SIZE * _OVERSAMPLE))
        pen.line(points, fill=255, width=thickness, joint="curve")
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - thickness / 2, y - thickness / 2, x + thickness / 2, y + thickness / 2), fill=255)
    else:
        pen.polygon(points, fill=255)
    mask = np.asarray(picture.reduce(_OVERSAMPLE), dtype=np.float32) / 255
    return mask, (int(low[1]), int(low[0]), int(high[1]), int(high[0]))


def _light(mask: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shading as if the part were inflated: light factor, highlight in 0..1, and the soft shadow around its edge."""
    height, width = mask.shape
    coarse = Image.fromarray((mask * 255).astype(np.uint8)).reduce(_COARSE)
    reach = max(1.0, min(coarse.size) * 0.16)
    near = np.asarray(coarse.filter(ImageFilter.GaussianBlur(1.2)), dtype=np.float32) / 255
    wide = np.asarray(coarse.filter(ImageFilter.GaussianBlur(reach)), dtype=np.float32) / 255
    slope_y, slope_x = np.gradient(np.sqrt(wide + 0.02) * reach * 1.6) if min(wide.shape) > 1 else (wide * 0, wide * 0)
    facing = slope_x * _LIGHT[0] + slope_y * _LIGHT[1]
    light = 1 - 0.3 * strength * np.tanh(-facing) - 0.08 * strength * (1 - wide)
    highlight = np.clip(np.tanh(facing * 1.4) - 0.38, 0, 1) ** 2 * 1.6
    stack = [
        Image.fromarray(field.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        for field in (light, highlight, near)
    ]
    return np.asarray(stack[0]), np.asarray(stack[1]), np.asarray(stack[2])


def _colour(role: str, look: Look) -> np.ndarray:
    if role in _FIXED:
        return np.array(_FIXED[role], np.float32)
    if role == "second":
        return np.array(look.second, np.float32)
    if role == "mark":
        return np.array((250, 250, 246) if np.mean(look.main) < 140 else (38, 36, 46), np.float32)
    return np.array(look.main, np.float32) * {"trim": 0.74, "lining": 0.5, "crease": 0.62}[role]


def _mark(mark: int, x: float, y: float, r: float) -> list[Part]:
    """The brand's sign: ten figures, each filled or as an outline."""
    figure, hollow = mark % 10, mark // 10 % 2
    turn = np.radians(np.arange(10) * 36 - 90)
    star = np.stack(
        [
            x + r * np.where(np.arange(10) % 2, 0.42, 1.0) * np.cos(turn),
            y + r * np.where(np.arange(10) % 2, 0.42, 1.0) * np.sin(turn),
        ],
        1,
    )
    bar = 0.3 * r
    outlines = [
        [ellipse(x, y, r, r)],
        [box(x - r, y - r, x + r, y + r)],
        [np.array([(x, y - r), (x + r, y + r * 0.8), (x - r, y + r * 0.8)])],
        [star],
        [box(x - r, y - bar, x + r, y + bar), box(x - bar, y - r, x + bar, y + r)],
        [box(x - r, y - r + i * 0.8 * r, x + r, y - r + i * 0.8 * r + bar) for i in range(3)],
        [
            np.array(
                [
                    (x - r, y + r * 0.5),
                    (x, y - r * 0.8),
                    (x + r, y + r * 0.5),
                    (x + r * 0.6, y + r * 0.8),
                    (x, y),
                    (x - r * 0.6, y + r * 0.8),
                ]
            )
        ],
        [np.array([(x, y - r), (x + r * 0.75, y), (x, y + r), (x - r * 0.75, y)])],
        [ellipse(x - r * 0.55, y, r * 0.6, r * 0.6), ellipse(x + r * 0.55, y, r * 0.6, r * 0.6)],
        [
            np.array(
                [(x - r, y - r), (x + r, y - r), (x + r * 0.4, y), (x + r, y + r), (x - r, y + r), (x - r * 0.4, y)]
            )
        ],
    ][figure]
    if hollow:
        return [Part(np.concatenate([o, o[:2]]), "mark", 0.0, 0.011) for o in outlines]
    return [Part(o, "mark", 0.0) for o in outlines]


def _shadow(coverage: np.ndarray, drop: float, blur: float) -> np.ndarray:
    """A soft shadow of the product, fallen `drop` of the picture's height down and to the right; (224, 224) in 0..1."""
    coarse = Image.fromarray((coverage * 255).astype(np.uint8)).reduce(_COARSE)
    shift = drop * coarse.height
    moved = coarse.transform(
        coarse.size, Image.Transform.AFFINE, (1, 0, -shift * 0.5, 0, 1, -shift * 0.6), Image.Resampling.BILINEAR
    )
    soft = moved.filter(ImageFilter.GaussianBlur(blur / _COARSE * 1.5))
    return np.asarray(soft.resize(coverage.shape[::-1], Image.Resampling.BILINEAR), dtype=np.float32) / 255
