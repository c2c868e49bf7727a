"""How kitchenware is drawn: `f(variant, g)` → parts, back to front.

`g` holds four proportions in [-1, 1]; what each of them stretches is up to the shape.
"""

from __future__ import annotations

import numpy as np

from openmoon.data.sample.drawing.geometry import Part, box, ellipse, flipped, mirrored


def mug(variant: str, g: np.ndarray) -> list[Part]:
    top, bottom = 0.24 + 0.05 * g[0], 0.82
    w0 = {"straight": 0.24, "tapered": 0.28, "barrel": 0.22, "camping": 0.25}[variant] + 0.025 * g[1]
    w1 = {"straight": 0.24, "tapered": 0.17, "barrel": 0.19, "camping": 0.24}[variant] + 0.02 * g[1]
    belly = {"barrel": 0.31}.get(variant, (w0 + w1) / 2)
    centre, reach = 0.43, 0.15 + 0.03 * g[2]
    y = (top + bottom) / 2 - 0.02
    handle = ellipse(centre + belly - 0.02, y, reach, 0.15 + 0.03 * g[3], -95, 95)
    if variant == "camping":
        handle = np.array(
            [(centre + w0 - 0.02, top + 0.1), (0.84, top + 0.1), (0.84, y + 0.08), (centre + w1 - 0.02, y + 0.16)]
        )
    parts = [
        Part(handle, "second", 0.8, 0.05),
        Part(
            mirrored(
                (w0, top),
                (w0, top),
                (belly, (top + bottom) / 2),
                (w1, bottom),
                (w1, bottom),
                (w1 * 0.5, bottom + 0.025),
                centre=centre,
            ),
            "main",
            1.4,
        ),
        Part(ellipse(centre, top, w0, 0.05), "second" if g[2] > 0 else "light", 0.6),
        Part(ellipse(centre, top + 0.008, w0 - 0.022, 0.038), "lining", 0.2),
    ]
    if variant == "camping":
        parts.append(Part(ellipse(centre, top, w0, 0.05, 0, 180), "dark", 0.3, 0.012))
    return parts


def bottle(variant: str, g: np.ndarray) -> list[Part]:
    w, top = 0.14 + 0.025 * g[0], 0.24 + 0.03 * g[1]
    if variant == "sport":
        waist = w - 0.035
        return [
            Part(
                mirrored(
                    (w * 0.6, top),
                    (w, top + 0.07),
                    (w, 0.42),
                    (waist, 0.55 + 0.05 * g[2]),
                    (w, 0.68),
                    (w, 0.94),
                    (w, 0.94),
                ),
                "main",
                1.5,
            ),
            Part(box(0.5 - w * 0.75, top - 0.06, 0.5 + w * 0.75, top + 0.03, 0.02), "second", 1.0),
            Part(box(0.46, top - 0.15, 0.54, top - 0.05, 0.02), "dark", 0.9),
        ]
    if variant == "slim":
        neck = 0.05
        return [
            Part(
                mirrored(
                    (neck, 0.12),
                    (neck, 0.3),
                    (neck + 0.01, 0.36 + 0.04 * g[2]),
                    (w, 0.48 + 0.04 * g[2]),
                    (w, 0.95),
                    (w, 0.95),
                ),
                "main",
                1.5,
            ),
            Part(box(0.5 - neck - 0.015, 0.06, 0.5 + neck + 0.015, 0.16, 0.01), "second", 1.0),
            Part(box(0.5 - w, 0.62, 0.5 + w, 0.64), "second", 0.2),
        ]
    if variant == "flask":
        return [
            Part(box(0.5 - w - 0.02, top - 0.02, 0.5 + w + 0.02, 0.94, 0.05), "main", 1.5),
            Part(box(0.5 - w + 0.005, 0.08 + 0.02 * g[2], 0.5 + w - 0.005, top + 0.02, 0.03), "second", 1.2),
            Part(box(0.5 - w - 0.022, top, 0.5 + w + 0.022, top + 0.025), "metal", 0.4),
            Part(box(0.5 - w - 0.022, 0.87, 0.5 + w + 0.022, 0.95, 0.02), "trim", 0.8),
        ]
    loop = ellipse(0.5, 0.13, 0.085, 0.065)
    return [
        Part(np.concatenate([loop, loop[:2]]), "second", 0.7, 0.032),
        Part(
            mirrored(
                (w * 0.55, top - 0.02),
                (w * 0.6, top),
                (w + 0.02, top + 0.11),
                (w + 0.03, 0.6),
                (w + 0.02, 0.94),
                (w, 0.95),
            ),
            "main",
            1.5,
        ),
        Part(box(0.5 - w * 0.65, 0.17, 0.5 + w * 0.65, top + 0.02, 0.02), "dark", 1.0),
    ]


def vase(variant: str, g: np.ndarray) -> list[Part]:
    lip, high, belly = 0.11 + 0.025 * g[0], 0.14 + 0.04 * g[1], 0.24 + 0.04 * g[2]
    parts: list[Part] = []
    if variant == "amphora":
        ear = ellipse(0.63, 0.34, 0.1, 0.12, -110, 100)
        parts += [Part(ear, "second", 0.8, 0.035), Part(flipped(ear), "second", 0.8, 0.035)]
        low = [(lip - 0.04, 0.24), (lip - 0.03, 0.3), (belly, 0.48), (belly - 0.06, 0.72), (0.1, 0.9), (0.13, 0.93)]
    elif variant == "cylinder":
        lip += 0.06
        low = [(lip - 0.01, 0.5), (lip, 0.92), (lip, 0.92)]
    elif variant == "bulb":
        lip, high = lip - 0.035, high + 0.08
        low = [(lip, 0.36), (belly + 0.05, 0.48), (belly + 0.08, 0.72), (belly - 0.06, 0.92), (0.1, 0.93)]
    else:
        lip += 0.09
        low = [(lip - 0.06, 0.32), (0.09, 0.52 + 0.06 * g[3]), (lip - 0.04, 0.78), (lip, 0.93), (lip, 0.93)]
    parts.append(Part(mirrored((lip, high), (lip, high), *low), "main", 1.6))
    if variant == "cylinder":
        band = 0.62 + 0.1 * g[3]
        parts.append(Part(box(0.38, band, 0.62, band + 0.02, 0.01), "second", 0.1))
    opening = Part(ellipse(0.5, high + 0.004, lip - 0.02, 0.02), "dark", 0.1)
    return [*parts, Part(ellipse(0.5, high, lip, 0.03), "trim", 0.4), opening]
