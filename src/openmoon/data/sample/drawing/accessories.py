"""How accessories are drawn: `f(variant, g)` → parts, back to front.

`g` holds four proportions in [-1, 1]; what each of them stretches is up to the shape.
"""

from __future__ import annotations

import numpy as np

from openmoon.data.sample.drawing.geometry import Part, box, ellipse, flipped, mirrored, smooth


def watch(variant: str, g: np.ndarray) -> list[Part]:
    radius, strap = 0.2 + 0.025 * g[0], 0.085 + 0.015 * g[1]
    parts = [
        Part(
            mirrored(
                (strap - 0.02, 0.04),
                (strap - 0.02, 0.04),
                (strap, 0.35),
                (strap, 0.65),
                (strap - 0.02, 0.96),
                (strap - 0.02, 0.96),
            )
        )
    ]
    if variant == "bracelet":
        parts += [Part(box(0.5 - strap, y, 0.5 + strap, y + 0.008), "dark", 0.1) for y in np.arange(0.07, 0.95, 0.05)]
    case = (
        box(0.5 - radius, 0.5 - radius, 0.5 + radius, 0.5 + radius, 0.06)
        if variant in ("square", "digital")
        else ellipse(0.5, 0.5, radius, radius)
    )
    inner = 0.5 + (case - 0.5) * 0.82
    parts += [
        Part(box(0.5 + radius - 0.01, 0.475, 0.5 + radius + 0.03, 0.525, 0.008), "metal", 0.5),
        Part(case, "metal", 1.2),
    ]
    if variant == "digital":
        parts += [Part(inner, "dark", 0.3), Part(box(0.39, 0.44, 0.61, 0.56, 0.01), "glass", 0.1)]
        segments = [
            [(0.42, 0.46), (0.42, 0.54)],
            [(0.46, 0.46), (0.49, 0.46), (0.49, 0.5), (0.46, 0.5), (0.46, 0.54), (0.49, 0.54)],
            [(0.53, 0.46), (0.53, 0.5), (0.56, 0.5), (0.56, 0.46)],
            [(0.56, 0.5), (0.56, 0.54)],
        ]
        return [*parts, *[Part(np.array(s), "dark", 0.0, 0.011) for s in segments]]
    parts.append(Part(inner, "second" if g[2] > 0 else "light", 0.3))
    ticks = np.radians(np.arange(0, 360, 30))
    r0, r1 = radius * 0.66, radius * 0.76
    parts += [
        Part(
            np.array([(0.5 + r0 * np.cos(a), 0.5 + r0 * np.sin(a)), (0.5 + r1 * np.cos(a), 0.5 + r1 * np.sin(a))]),
            "dark",
            0,
            0.009,
        )
        for a in ticks
    ]
    if variant == "chronograph":
        parts += [
            Part(ellipse(0.5 + dx, 0.5 + dy, 0.042, 0.042), "dark", 0.2)
            for dx, dy in ((-0.07, 0), (0.07, 0), (0, 0.075))
        ]
    turn = np.radians(200 + 120 * g[3])
    hands = [
        np.array([(0.5, 0.5), (0.5 + r * np.cos(a), 0.5 + r * np.sin(a))])
        for r, a in ((radius * 0.42, turn), (radius * 0.6, -np.pi / 4))
    ]
    return [
        *parts,
        *[Part(hand, "dark", 0, 0.013) for hand in hands],
        Part(ellipse(0.5, 0.5, 0.014, 0.014), "metal", 0.3),
    ]


def sunglasses(variant: str, g: np.ndarray) -> list[Part]:
    x, y, w, h = 0.27, 0.52, 0.17 + 0.015 * g[0], 0.13 + 0.02 * g[1]
    if variant == "round":
        lens = ellipse(x, y, w - 0.02, w - 0.02)
    elif variant == "aviator":
        lens = smooth(
            [
                (x - w, y - h),
                (x + w * 0.9, y - h),
                (x + w * 0.95, y - 0.02),
                (x + 0.03, y + h + 0.06),
                (x - w * 0.7, y + h),
            ]
        )
    elif variant == "cat-eye":
        lens = smooth(
            [
                (x - w - 0.05, y - h - 0.06),
                (x - w - 0.05, y - h - 0.06),
                (x + w, y - h + 0.03),
                (x + w - 0.02, y + h * 0.7),
                (x - w * 0.5, y + h),
            ]
        )
    else:
        lens = smooth([(x - w, y - h), (x - w, y - h), (x + w, y - h), (x + w * 0.85, y + h), (x - w * 0.8, y + h)], 2)
    rim = 0.022 if variant in ("aviator", "round") else 0.042 + 0.008 * g[2]
    arm = smooth([(0.1, 0.46), (0.06, 0.38), (0.16, 0.27), (0.22, 0.25)], 2, closed=False)
    parts = [Part(arm, "trim", 0.6, 0.024), Part(flipped(arm), "trim", 0.6, 0.024)]
    bridge = [(0.42, 0.47), (0.46, 0.445), (0.5, 0.44), (0.54, 0.445), (0.58, 0.47)]
    parts.append(Part(smooth(bridge, 2, closed=False), "main", 0.6, max(rim, 0.03)))
    if variant == "aviator":
        parts.append(Part(np.array([(0.36, 0.4), (0.64, 0.4)]), "main", 0.6, 0.02))
    closed = np.concatenate([lens, lens[:2]])
    return [
        *parts,
        *[Part(o, "second", 0.9) for o in (lens, flipped(lens))],
        *[Part(o, "main", 0.8, rim) for o in (closed, flipped(closed))],
    ]
