"""How lights and furniture are drawn: `f(variant, g)` → parts, back to front.

`g` holds four proportions in [-1, 1]; what each of them stretches is up to the shape.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from openmoon.data.sample.drawing.geometry import Part, box, ellipse, flipped, mirrored, smooth


def lamp(variant: str, g: np.ndarray) -> list[Part]:
    base, shade = 0.15 + 0.02 * g[0], 0.25 + 0.03 * g[1]
    half_foot = ((base * 0.8, 0.88), (base, 0.93), (base, 0.93))
    foot = Part(mirrored(*half_foot, rounds=2), "second", 0.9)
    if variant == "table":
        low = 0.46 + 0.04 * g[2]
        stem = mirrored((0.02, low - 0.02), (0.03, 0.55), (0.09 + 0.03 * g[3], 0.68), (0.06, 0.8), (0.04, 0.9))
        cone = mirrored((shade * 0.55, 0.12), (shade * 0.55, 0.12), (shade, low), (shade, low))
        return [foot, Part(stem, "second", 1.2), Part(cone, "main", 1.3)]
    if variant == "globe":
        return [
            foot,
            Part(box(0.485, 0.5, 0.515, 0.9), "metal", 0.6),
            Part(ellipse(0.5, 0.34, shade, shade), "main", 1.7),
            Part(box(0.44, 0.33 + shade - 0.01, 0.56, 0.36 + shade, 0.01), "metal", 0.6),
        ]
    if variant == "desk":
        elbow, joint = (0.27 + 0.03 * g[2], 0.5), (0.58, 0.26 + 0.03 * g[3])
        head = smooth(
            [
                (joint[0] - 0.06, joint[1] - 0.1),
                (joint[0] + 0.06, joint[1] - 0.07),
                (0.86, 0.42),
                (0.86, 0.42),
                (0.56, 0.48),
                (0.56, 0.48),
            ],
            2,
        )
        return [
            Part(ellipse(0.46, 0.9, base + 0.03, 0.035), "second", 0.9),
            Part(np.array([(0.46, 0.88), elbow, joint]), "metal", 0.6, 0.026),
            Part(ellipse(*elbow, 0.026, 0.026), "dark", 0.5),
            Part(ellipse(0.71, 0.45, 0.15, 0.032), "glow", 0.1),
            Part(head, "main", 1.4),
        ]
    reach, shade_y = 0.72 + 0.03 * g[2], 0.5 + 0.02 * g[3]
    return [
        Part(box(0.15, 0.89, 0.4, 0.93, 0.015), "second", 0.8),
        Part(box(0.25, 0.4, 0.272, 0.9), "metal", 0.5),
        Part(ellipse((0.26 + reach) / 2, 0.42, (reach - 0.26) / 2, 0.32, 180, 350), "metal", 0.5, 0.022),
        Part(ellipse(reach, shade_y, shade * 0.72, 0.03), "glow", 0.1),
        Part(ellipse(reach, shade_y, shade * 0.72, 0.19, 180, 360), "main", 1.4),
    ]


def chair(variant: str, g: np.ndarray) -> list[Part]:
    w, seat, back = 0.2 + 0.02 * g[0], 0.57 + 0.03 * g[1], 0.12 + 0.03 * g[2]
    if variant == "stool":
        return _stool(0.32 + 0.05 * g[1], 0.22 + 0.03 * g[0], 0.17 + 0.02 * g[2])
    if variant == "swivel":
        return _swivel_chair(w, seat, 0.1 + 0.03 * g[2])
    rear = [np.array([(0.5 + s * (w - 0.02), seat), (0.5 + s * w, 0.89)]) for s in (-0.8, 0.8)]
    front = [np.array([(0.5 + s * (w - 0.02), seat), (0.5 + s * (w + 0.04), 0.94)]) for s in (-1, 1)]
    parts = [Part(leg, "second", 0.6, 0.032) for leg in [*rear, *front]]
    if variant == "armchair":
        arm = box(0.5 + w + 0.01, 0.42 + 0.03 * g[3], 0.5 + w + 0.11, seat + 0.09, 0.04)
        rest = mirrored((w, back + 0.04), (w + 0.05, back + 0.04), (w + 0.08, 0.35), (w + 0.08, seat), (w, seat))
        cushion = box(0.5 - w - 0.03, seat - 0.06, 0.5 + w + 0.03, seat + 0.08, 0.03)
        return [*parts, Part(rest, "main", 1.3), *[Part(o, "main", 1.2) for o in (cushion, arm, flipped(arm))]]
    if variant == "slatted":
        parts += [
            Part(np.array([(0.5 + s * (w - 0.02), back), (0.5 + s * (w - 0.02), seat)]), "second", 0.6, 0.035)
            for s in (-1, 1)
        ]
        slats = np.linspace(back + 0.02, seat - 0.14, 3 if g[3] > 0 else 4)
        parts += [Part(box(0.5 - w + 0.02, y, 0.5 + w - 0.02, y + 0.05, 0.012), "main", 0.8) for y in slats]
    else:
        rest = mirrored(
            (w - 0.07, back), (w, back + 0.02), (w + 0.01, 0.3 + 0.05 * g[3]), (w - 0.05, 0.5), (w - 0.05, seat)
        )
        parts.append(Part(rest, "main", 1.2))
    plate = mirrored((w, seat - 0.045), (w + 0.05, seat + 0.03), (w + 0.03, seat + 0.05), rounds=1)
    return [*parts, Part(plate, "main", 1.0)]


def _stool(high: float, radius: float, spread: float) -> list[Part]:
    legs = [np.array([(0.5 + s * 0.1, high), (0.5 + s * spread, 0.94)]) for s in (-1, 1, -0.35, 0.35)]
    return [
        *[Part(leg, "second", 0.6, 0.03) for leg in legs],
        Part(box(0.36, 0.7, 0.64, 0.722), "second", 0.4),
        Part(ellipse(0.5, high, radius, 0.06), "trim", 0.8),
        Part(ellipse(0.5, high - 0.03, radius, 0.06), "main", 1.2),
    ]


def _swivel_chair(w: float, seat: float, back: float) -> list[Part]:
    feet = [(0.28, 0.9), (0.72, 0.9), (0.4, 0.95), (0.6, 0.95)]
    rest = mirrored((w - 0.02, back), (w, 0.12), (w + 0.01, 0.3), (w - 0.03, 0.5), (w - 0.06, 0.5))
    return [
        *[Part(np.array([(0.5, 0.8), foot]), "dark", 0.5, 0.03) for foot in feet],
        *[Part(ellipse(x, y + 0.02, 0.024, 0.024), "dark", 0.6) for x, y in feet],
        Part(box(0.48, seat, 0.52, 0.82), "metal", 0.6),
        Part(rest, "main", 1.2),
        Part(box(0.5 - w - 0.03, seat - 0.02, 0.5 + w + 0.03, seat + 0.06, 0.035), "main", 1.2),
        *[Part(box(x - 0.02, 0.43, x + 0.02, seat, 0.015), "dark", 0.6) for x in (0.46 - w, 0.54 + w)],
    ]


def sofa(variant: str, g: np.ndarray) -> list[Part]:
    w = {"two-seat": 0.33, "three-seat": 0.41, "chesterfield": 0.4, "chaise": 0.41}[variant] + 0.02 * g[0]
    back, seat, low = 0.34 + 0.03 * g[1], 0.56, 0.76
    arm, arm_top = 0.075 + 0.015 * g[2], 0.46 + 0.03 * g[3]
    legs = [0.5 + s * (w - 0.05) for s in (-1, 1)]
    parts = [Part(box(x - 0.016, low - 0.01, x + 0.016, 0.84), "second", 0.5) for x in legs]
    if variant == "chesterfield":
        parts.append(Part(box(0.5 - w, back + 0.03, 0.5 + w, low, 0.06), "main", 1.2))
        buttons = enumerate(np.linspace(0.22, 0.78, 9))
        parts += [Part(ellipse(x, back + 0.1 + 0.05 * (i % 2), 0.008, 0.008), "crease", 0.2) for i, x in buttons]
    else:
        edges = np.linspace(0.5 - w + arm * 0.6, 0.5 + w - arm * 0.6, 3 if variant == "two-seat" else 4)
        parts += [Part(box(a, back, b, seat + 0.08, 0.04), "main", 1.3) for a, b in pairwise(edges)]
    parts.append(Part(box(0.52 - w, seat + 0.08, 0.48 + w, low, 0.02), "trim", 0.7))
    edges = np.linspace(0.5 - w + arm, 0.5 + w - arm, 3 if variant in ("two-seat", "chesterfield") else 4)
    parts += [Part(box(a, seat, b, seat + 0.11, 0.03), "main", 1.2) for a, b in pairwise(edges)]
    if variant == "chaise":
        x = edges[2]
        longue = [
            (x, seat),
            (x, seat),
            (0.5 + w, seat),
            (0.55 + w, 0.8),
            (0.55 + w, 0.8),
            (x + 0.02, 0.8),
            (x + 0.02, 0.8),
        ]
        parts.append(Part(smooth(longue, 2), "main", 1.2))
    radius = 0.04 if variant == "chesterfield" else 0.02
    for side in (-1,) if variant == "chaise" else (-1, 1):
        x = 0.5 + side * (w - arm / 2 + 0.02)
        parts.append(Part(box(x - arm / 2 - 0.01, arm_top, x + arm / 2 + 0.01, low, radius), "main", 1.2))
    x, y = 0.5 - w + arm, seat - 0.14
    pillow = smooth([(x + 0.03, y + 0.02), (x + 0.16, y), (x + 0.17, y + 0.15), (x + 0.03, y + 0.15)], 1)
    return [*parts, Part(pillow, "second", 1.3)]
