"""How shoes are drawn: `f(variant, g)` → parts, back to front.

`g` holds four proportions in [-1, 1]; what each of them stretches is up to the shape.
"""

from __future__ import annotations

import numpy as np

from openmoon.data.sample.drawing.geometry import Part, box, ellipse, smooth


def sneaker(variant: str, g: np.ndarray) -> list[Part]:
    collar = {"low": 0.42, "high-top": 0.23, "runner": 0.4, "slip-on": 0.45}[variant] + 0.03 * g[0]
    sole = {"runner": 0.115, "slip-on": 0.06}.get(variant, 0.075) + 0.015 * g[1]
    toe, ground = 0.93 + 0.02 * g[2], 0.74
    heel = 0.08 if variant == "runner" else 0.11
    upper = smooth(
        [
            (heel, ground - 0.02),
            (heel, collar + 0.1),
            (heel + 0.02, collar),
            (heel + 0.02, collar),
            (0.36, collar + 0.01),
            (0.36, collar + 0.01),
            (0.46, 0.5),
            (0.64, 0.56 + 0.02 * g[3]),
            (0.84, 0.6),
            (toe, 0.68),
            (toe - 0.01, ground),
            (toe - 0.01, ground),
            (heel, ground),
        ]
    )
    parts = [
        Part(
            smooth(
                [
                    (heel + 0.03, collar - 0.02),
                    (0.35, collar - 0.02),
                    (0.37, collar + 0.05),
                    (heel + 0.04, collar + 0.05),
                ],
                2,
            ),
            "lining",
            0.3,
        ),
        Part(upper),
    ]
    toe_cap = smooth([(0.76, 0.59), (0.88, 0.62), (toe + 0.005, 0.69), (toe, ground + 0.01), (0.74, ground + 0.01)])
    counter = smooth(
        [(heel - 0.005, 0.5), (0.19, 0.52), (0.22, 0.62), (0.24, ground), (0.24, ground), (heel - 0.005, ground)]
    )
    parts += [Part(toe_cap, "light" if variant in ("low", "high-top") else "second", 0.7), Part(counter, "second", 0.7)]
    if variant != "slip-on":
        steps = 4 if variant != "high-top" else 6
        for i in range(steps):
            x, y = 0.37 + 0.2 * i / steps, collar + 0.05 + (0.55 - collar - 0.03) * i / (steps - 1)
            parts.append(Part(np.array([(x - 0.05, y + 0.05), (x + 0.035, y - 0.01)]), "light", 0.4, 0.017))
    else:
        parts.append(Part(smooth([(0.34, 0.46), (0.46, 0.5), (0.46, 0.58), (0.36, 0.57)], 2), "dark", 0.3))
    if variant == "runner":
        parts += [
            Part(smooth([(0.3 + d, 0.7), (0.42 + d, 0.55), (0.47 + d, 0.57), (0.37 + d, 0.71)], 1), "second", 0.3)
            for d in (0, 0.1, 0.2)
        ]
        bottom = smooth(
            [
                (0.05, ground - 0.03),
                (0.5, ground - 0.005),
                (0.97, ground - 0.04),
                (0.97, ground + 0.04),
                (0.85, ground + sole - 0.03),
                (0.5, ground + sole - 0.03),
                (0.1, ground + sole - 0.01),
            ]
        )
    else:
        bottom = box(heel - 0.02, ground - 0.015, toe + 0.01, ground + sole - 0.02, 0.025)
    return [
        *parts,
        Part(bottom, "light", 0.8),
        Part(box(heel, ground + sole - 0.04, toe - 0.02, ground + sole - 0.022), "second", 0.2),
    ]


def boot(variant: str, g: np.ndarray) -> list[Part]:
    shaft = {"ankle": 0.36, "knee-high": 0.08, "chelsea": 0.32, "heeled": 0.2}[variant] + 0.035 * g[0]
    back, front = 0.24, 0.54 + 0.03 * g[1]
    lift = 0.1 if variant == "heeled" else 0.02
    toe, ground = 0.88 + 0.03 * g[2], 0.86
    pointed = 0.04 if variant == "heeled" else 0.0
    outline = smooth(
        [
            (back - 0.02, shaft),
            (back - 0.02, shaft),
            (front + 0.03, shaft),
            (front + 0.03, shaft),
            (front - 0.02, 0.56),
            (0.6, 0.64 + 0.02 * g[3]),
            (0.78, 0.69 + pointed),
            (toe, 0.78),
            (toe, ground - 0.02),
            (toe, ground - 0.02),
            (0.5, ground - 0.02 - lift * 0.4),
            (back - 0.03, ground - 0.02 - lift),
            (back - 0.03, ground - 0.02 - lift),
            (back - 0.03, 0.7),
            (back + 0.015, 0.6),
        ]
    )
    parts = [
        Part(ellipse((back + front) / 2, shaft + 0.005, (front - back) / 2 + 0.03, 0.025), "lining", 0.2),
        Part(outline),
    ]
    if variant == "chelsea":
        parts.append(Part(smooth([(0.33, shaft), (0.45, shaft), (0.43, 0.56), (0.35, 0.56)], 1), "second", 0.5))
        parts.append(Part(box(back - 0.045, shaft - 0.05, back - 0.015, shaft + 0.04, 0.01), "second", 0.4))
    elif variant == "ankle":
        for i in range(5):
            y = shaft + 0.05 + i * (0.62 - shaft - 0.05) / 5
            parts.append(Part(np.array([(front - 0.1, y + 0.02), (front + 0.02 + 0.008 * i, y)]), "second", 0.4, 0.018))
        parts.append(Part(box(back - 0.025, shaft - 0.01, front + 0.035, shaft + 0.035, 0.012), "trim", 0.6))
    elif variant == "knee-high":
        parts += [Part(box(back - 0.03, y, front + 0.02, y + 0.03, 0.008), "second", 0.5) for y in (0.2, 0.55)]
        parts += [Part(box(0.4, y - 0.007, 0.45, y + 0.037, 0.006), "metal", 0.6) for y in (0.2, 0.55)]
    else:
        parts.append(Part(np.array([(0.36, shaft + 0.02), (0.36, 0.68)]), "metal", 0.3, 0.012))
    heel_top = ground - 0.03 - lift
    wide = 0.1 if variant == "heeled" else 0.2
    parts.append(
        Part(
            smooth(
                [
                    (back - 0.035, heel_top),
                    (back - 0.035, heel_top),
                    (back + 0.17, heel_top + lift * 0.35),
                    (back + 0.17, heel_top + lift * 0.35),
                    (back - 0.02 + wide, ground + 0.05),
                    (back - 0.02 + wide, ground + 0.05),
                    (back - 0.02, ground + 0.05),
                    (back - 0.02, ground + 0.05),
                ],
                2,
            ),
            "dark",
            0.6,
        )
    )
    parts.append(
        Part(
            smooth(
                [
                    (back + 0.05, ground - 0.03 - lift * 0.8),
                    (0.5, ground - 0.035 - lift * 0.3),
                    (toe + 0.005, ground - 0.03),
                    (toe + 0.01, ground + 0.02),
                    (0.55, ground + 0.025),
                    (0.45, ground - lift * 0.3),
                ],
                2,
            ),
            "dark",
            0.6,
        )
    )
    return parts
