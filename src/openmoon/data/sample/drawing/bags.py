"""How bags are drawn: `f(variant, g)` → parts, back to front.

`g` holds four proportions in [-1, 1]; what each of them stretches is up to the shape.
"""

from __future__ import annotations

import numpy as np

from openmoon.data.sample.drawing.geometry import Part, box, ellipse, flipped, mirrored, smooth


def handbag(variant: str, g: np.ndarray) -> list[Part]:
    top, bottom = 0.42 + 0.04 * g[0], 0.88
    high = 0.16 + 0.05 * g[1]
    if variant == "tote":
        top, w0, w1 = top - 0.06, 0.33 + 0.03 * g[2], 0.27 + 0.03 * g[3]
        parts = [
            Part(ellipse(0.5, top, 0.14, high + 0.1, 180, 360), "second", 0.6, 0.03),
            Part(mirrored((w0, top), (w0, top), (w1, bottom), (w1, bottom)), "main", 1.0),
            Part(box(0.5 - w0, top - 0.01, 0.5 + w0, top + 0.03), "trim", 0.5),
        ]
        return [
            *parts,
            *[Part(box(x - 0.03, top - 0.005, x + 0.03, top + 0.1, 0.01), "second", 0.5) for x in (0.36, 0.64)],
        ]
    if variant == "satchel":
        w = 0.34 + 0.03 * g[2]
        flap = mirrored(
            (w + 0.01, top - 0.01),
            (w + 0.01, top + 0.08),
            (w - 0.02, top + 0.22 + 0.04 * g[3]),
            (0.12, top + 0.27 + 0.04 * g[3]),
        )
        return [
            Part(ellipse(0.5, top, 0.11, high * 0.8, 180, 360), "second", 0.6, 0.032),
            Part(box(0.5 - w, top, 0.5 + w, bottom, 0.06)),
            Part(flap),
            Part(box(0.46, top + 0.21, 0.54, top + 0.3, 0.012), "metal", 0.8),
        ]
    if variant == "bucket":
        w = 0.24 + 0.03 * g[2]
        return [
            Part(ellipse(0.5, top - 0.02, w - 0.02, high + 0.12, 180, 360), "second", 0.6, 0.024),
            Part(ellipse(0.5, top - 0.04, w, 0.05), "lining", 0.3),
            Part(
                mirrored(
                    (w, top - 0.04), (w, top - 0.04), (w + 0.03, 0.65), (w - 0.01, bottom), (w - 0.05, bottom + 0.01)
                )
            ),
            Part(box(0.5 - w - 0.01, 0.5, 0.5 + w + 0.01, 0.535), "second", 0.4),
            Part(ellipse(0.5, 0.518, 0.03, 0.03), "metal", 0.8),
        ]
    w, low = 0.38 + 0.02 * g[2], 0.78
    return [
        Part(ellipse(0.5, top + 0.02, 0.42, 0.4, 185, 355), "metal", 0.4, 0.012),
        Part(box(0.5 - w, top, 0.5 + w, low, 0.03)),
        Part(np.array([(0.5 - w, top + 0.01), (0.5, top + 0.24 + 0.04 * g[3]), (0.5 + w, top + 0.01)]), "second", 0.8),
        Part(ellipse(0.5, top + 0.22 + 0.04 * g[3], 0.026, 0.026), "metal", 0.8),
    ]


def backpack(variant: str, g: np.ndarray) -> list[Part]:
    w, top = 0.26 + 0.03 * g[0], 0.17 + 0.03 * g[1]
    pocket = 0.6 + 0.04 * g[2]
    parts = [Part(ellipse(0.5, top, 0.07, 0.08, 180, 360), "second", 0.6, 0.028)]
    strap = smooth(
        [(0.5 + w - 0.04, 0.3), (0.5 + w + 0.07, 0.45), (0.5 + w + 0.05, 0.7), (0.5 + w - 0.03, 0.82)], 3, closed=False
    )
    parts += [Part(strap, "trim", 0.6, 0.04), Part(flipped(strap), "trim", 0.6, 0.04)]
    if variant == "round":
        body = mirrored((0.02, top), (w * 0.8, top), (w, top + 0.15), (w + 0.01, 0.7), (w, 0.92), (w - 0.04, 0.92))
    elif variant == "roll-top":
        body = box(0.5 - w, top + 0.06, 0.5 + w, 0.91, 0.04)
    else:
        body = box(0.5 - w, top, 0.5 + w, 0.91, 0.09)
    parts.append(Part(body, "main", 1.2))
    if variant == "roll-top":
        parts += [
            Part(box(0.5 - w + 0.01, top, 0.5 + w - 0.01, top + 0.13, 0.03), "trim", 1.0),
            Part(box(0.475, top - 0.01, 0.525, 0.56), "second", 0.4),
            Part(box(0.46, 0.44, 0.54, 0.49, 0.01), "metal", 0.6),
            Part(box(0.5 - w + 0.04, pocket + 0.04, 0.5 + w - 0.04, 0.87, 0.02), "main", 0.8),
        ]
    elif variant == "flap":
        parts += [
            Part(
                mirrored((w - 0.02, top), (w + 0.01, top + 0.05), (w, 0.42), (w - 0.08, 0.5 + 0.04 * g[3])),
                "second",
                1.0,
            )
        ]
        parts += [Part(box(x - 0.02, 0.38, x + 0.02, 0.62), "trim", 0.4) for x in (0.4, 0.6)]
        parts += [Part(box(x - 0.028, 0.54, x + 0.028, 0.58), "metal", 0.6) for x in (0.4, 0.6)]
    else:
        parts += [
            Part(ellipse(0.5, top + 0.2, w - 0.04, 0.12, 190, 350), "dark", 0.2, 0.012),
            Part(box(0.5 - w + 0.05, pocket, 0.5 + w - 0.05, 0.87, 0.05), "second", 1.0),
            Part(box(0.5 - w + 0.09, pocket + 0.045, 0.5 + w - 0.09, pocket + 0.057), "dark", 0.2),
        ]
    return parts
