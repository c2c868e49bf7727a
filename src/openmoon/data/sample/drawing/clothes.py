"""How clothes are drawn: `f(variant, g)` → parts, back to front.

`g` holds four proportions in [-1, 1]; what each of them stretches is up to the shape.
"""

from __future__ import annotations

import numpy as np

from openmoon.data.sample.drawing.geometry import Part, box, ellipse, flipped, mirrored, smooth


def t_shirt(variant: str, g: np.ndarray) -> list[Part]:
    width, hem, flare = 0.2 + 0.025 * g[0], 0.84 + 0.06 * g[1], 0.02 * g[2]
    shoulder = 0.14 if variant == "tank" else 0.2
    reach = {"long-sleeve": 0.74, "tank": 0.0}.get(variant, 0.43 + 0.04 * g[3])
    parts = []
    if reach:
        spread = 0.39 if variant == "long-sleeve" else 0.4
        cuff = 0.1 if reach > 0.6 else 0.13
        sleeve = smooth(
            [
                (0.63, 0.17),
                (0.7, 0.19),
                (0.5 + spread - 0.06, reach - 0.16),
                (0.5 + spread, reach),
                (0.5 + spread, reach),
                (0.5 + spread - cuff, reach + 0.04),
                (0.5 + spread - cuff, reach + 0.04),
                (0.68, 0.38),
                (0.64, 0.34),
            ]
        )
        parts += [Part(sleeve), Part(flipped(sleeve))]
        if variant == "polo":
            band = np.array([(0.5 + spread, reach), (0.5 + spread - cuff, reach + 0.04)])
            parts += [Part(band, "second", 0.4, 0.022), Part(flipped(band), "second", 0.4, 0.022)]
    neck = 0.115 if variant == "tank" else 0.1
    body = mirrored(
        (neck, 0.14),
        (neck, 0.14),
        (shoulder, 0.17),
        (shoulder, 0.19),
        (width - 0.02, 0.36),
        (width, 0.55),
        (width + flare, hem),
        (width + flare, hem),
    )
    parts.append(Part(body))
    if variant == "v-neck":
        parts += [
            Part(np.array([(0.4, 0.13), (0.6, 0.13), (0.5, 0.31)]), "lining", 0.2),
            Part(np.array([(0.4, 0.14), (0.5, 0.31), (0.6, 0.14)]), "trim", 0.4, 0.02),
        ]
    elif variant == "polo":
        parts += [
            Part(smooth([(0.41, 0.13), (0.59, 0.13), (0.5, 0.25)], 1), "lining", 0.2),
            Part(box(0.485, 0.22, 0.515, 0.38), "trim", 0.3),
        ]
        collar = smooth([(0.41, 0.12), (0.39, 0.17), (0.44, 0.26), (0.44, 0.26), (0.5, 0.2), (0.43, 0.14)], 1)
        parts += [Part(collar, "second", 0.7), Part(flipped(collar), "second", 0.7)]
        parts += [Part(ellipse(0.5, y, 0.008, 0.008), "light", 0.2) for y in (0.27, 0.33)]
    else:
        depth = 0.13 if variant == "tank" else 0.065
        parts += [
            Part(ellipse(0.5, 0.14, neck, depth, 0, 180), "lining", 0.2),
            Part(ellipse(0.5, 0.14, neck, depth, 0, 180), "second" if g[3] > 0 else "trim", 0.4, 0.022),
        ]
    return parts


def dress(variant: str, g: np.ndarray) -> list[Part]:
    waist, waist_y = 0.115 + 0.02 * g[0], 0.4 + 0.04 * g[1]
    hem_w = {"a-line": 0.31, "sheath": 0.15, "maxi": 0.25, "skater": 0.34}[variant] + 0.03 * g[2]
    hem_y = {"a-line": 0.82, "sheath": 0.8, "maxi": 0.95, "skater": 0.7}[variant] + 0.03 * g[3]
    top = mirrored((0.075, 0.1), (0.11, 0.1), (0.15, 0.18), (0.14, 0.28), (waist, waist_y), (waist, waist_y))
    if variant in ("maxi", "sheath"):
        strap = np.array([(0.58, 0.14), (0.56, 0.05)])
        top = mirrored((0.02, 0.16), (0.1, 0.13), (0.1, 0.13), (0.14, 0.24), (waist, waist_y), (waist, waist_y))
        parts = [Part(strap, "trim", 0.5, 0.022), Part(flipped(strap), "trim", 0.5, 0.022), Part(top)]
    else:
        sleeve = smooth([(0.59, 0.11), (0.68, 0.15), (0.76, 0.3), (0.76, 0.3), (0.67, 0.33), (0.63, 0.26)])
        parts = [
            Part(sleeve),
            Part(flipped(sleeve)),
            Part(top),
            Part(ellipse(0.5, 0.105, 0.075, 0.06, 0, 180), "lining", 0.2),
        ]
    bulge = waist + (hem_w - waist) * (0.75 if variant == "skater" else 0.45)
    skirt = mirrored(
        (waist, waist_y),
        (waist, waist_y),
        (bulge, (waist_y + hem_y) / 2),
        (hem_w, hem_y - 0.02),
        (hem_w, hem_y),
        (hem_w * 0.5, hem_y + 0.02),
        (0.01, hem_y + 0.025),
    )
    parts.append(Part(skirt))
    folds = [np.array([(0.5 + waist * f, waist_y + 0.06), (0.5 + hem_w * f, hem_y)]) for f in (-0.55, 0.0, 0.55)]
    if variant != "sheath":
        parts += [Part(fold, "crease", 0.0, 0.006) for fold in folds]
    parts.append(Part(box(0.5 - waist - 0.005, waist_y - 0.018, 0.5 + waist + 0.005, waist_y + 0.018), "second", 0.6))
    return parts


def trousers(variant: str, g: np.ndarray) -> list[Part]:
    hip, top = 0.165 + 0.02 * g[0], 0.09
    hem = {"straight": 0.93, "flared": 0.94, "shorts": 0.55, "cropped": 0.76}[variant] + 0.03 * g[1] - 0.01
    cuff = {"straight": 0.085, "flared": 0.16, "shorts": 0.14, "cropped": 0.075}[variant] + 0.012 * g[2]
    middle = 0.5 + 0.08 + 0.03 * (variant == "shorts") + 0.02 * g[3]
    knee = (top + hem) / 2 + 0.08
    leg = smooth(
        [
            (0.49, top),
            (0.49, top),
            (0.5 + hip - 0.02, top),
            (0.5 + hip - 0.02, top),
            (0.5 + hip + 0.03, 0.27),
            (middle + 0.085, knee),
            (middle + cuff, hem),
            (middle + cuff, hem),
            (middle - cuff + 0.02, hem),
            (middle - cuff + 0.02, hem),
            (middle - 0.055, knee),
            (0.505, 0.4),
            (0.49, 0.36),
        ]
    )
    parts = [Part(leg), Part(flipped(leg)), Part(box(0.5 - hip, top - 0.02, 0.5 + hip, top + 0.03, 0.008), "trim", 0.5)]
    parts += [Part(smooth([(0.5, 0.12), (0.5, 0.26), (0.47, 0.3)], 2, closed=False), "crease", 0.0, 0.007)]
    pocket = smooth([(0.5 + hip * 0.6, 0.12), (0.5 + hip * 0.75, 0.2), (0.5 + hip + 0.02, 0.22)], 2, closed=False)
    parts += [Part(pocket, "crease", 0.0, 0.007), Part(flipped(pocket), "crease", 0.0, 0.007)]
    if variant in ("cropped", "shorts"):
        fold = box(middle - cuff + 0.02, hem - 0.035, middle + cuff, hem + 0.005)
        parts += [Part(fold, "second", 0.5), Part(flipped(fold), "second", 0.5)]
    return [*parts, Part(ellipse(0.5, top + 0.005, 0.013, 0.013), "metal", 0.5)]


def hat(variant: str, g: np.ndarray) -> list[Part]:
    if variant == "cap":
        crown = smooth(
            [
                (0.18, 0.58),
                (0.18, 0.58),
                (0.2, 0.36),
                (0.36, 0.25 + 0.03 * g[0]),
                (0.56, 0.27),
                (0.68, 0.42),
                (0.69, 0.58),
                (0.69, 0.58),
            ]
        )
        brim = smooth(
            [
                (0.5, 0.54),
                (0.74, 0.54),
                (0.94 + 0.03 * g[1], 0.62),
                (0.93, 0.69 + 0.02 * g[2]),
                (0.68, 0.61),
                (0.5, 0.62),
            ]
        )
        seams = [
            Part(smooth([(0.44, 0.26), (0.5 + d, 0.4), (0.48 + 1.5 * d, 0.58)], 2, closed=False), "crease", 0, 0.006)
            for d in (-0.1, 0.08)
        ]
        return [
            Part(crown, "main", 1.4),
            *seams,
            Part(brim, "second", 1.0),
            Part(ellipse(0.44, 0.255 + 0.03 * g[0], 0.025, 0.013), "second", 0.6),
        ]
    if variant == "beanie":
        top = 0.22 + 0.03 * g[0]
        crown = mirrored((0.04, top), (0.2, top + 0.02), (0.29 + 0.02 * g[1], 0.45), (0.29, 0.66))
        pom = [Part(ellipse(0.5, top - 0.02, 0.085, 0.085), "second", 1.3)] if g[2] > 0 else []
        return [
            *pom,
            Part(crown, "main", 1.4),
            Part(box(0.5 - 0.31, 0.6 + 0.03 * g[3], 0.81, 0.76, 0.04), "second", 1.0),
        ]
    crown_h, brim = 0.3 + 0.04 * g[0], 0.4 + 0.03 * g[1]
    if variant == "bucket-hat":
        return [
            Part(mirrored((0.25, 0.5), (0.25, 0.5), (brim, 0.76), (brim - 0.02, 0.8), (0.1, 0.82)), "main", 1.0),
            Part(mirrored((0.18, crown_h - 0.02), (0.21, crown_h - 0.02), (0.26, 0.54), (0.24, 0.56)), "main", 1.2),
            Part(box(0.245, 0.5, 0.755, 0.535, 0.01), "second", 0.4),
        ]
    return [
        Part(ellipse(0.5, 0.66, brim + 0.05, 0.1 + 0.02 * g[2]), "main", 1.0),
        Part(
            mirrored((0.07, crown_h + 0.03), (0.18, crown_h - 0.04), (0.21, 0.45), (0.24, 0.64), (0.1, 0.68)),
            "main",
            1.3,
        ),
        Part(mirrored((0.222, 0.54), (0.222, 0.54), (0.242, 0.63), (0.242, 0.63), (0.1, 0.67)), "second", 0.5),
    ]
