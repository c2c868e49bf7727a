"""The product types of the sample shop, by name: their variants and how they are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from openmoon.data.sample.drawing import accessories, bags, clothes, furniture, shoes, vessels
from openmoon.data.sample.drawing.geometry import Part

Mark = tuple[float, float, float]


@dataclass(frozen=True)
class Shape:
    """A product type: `draw(variant, g)`, its variants, and where its brand mark is (x, y, radius in the unit square).

    `marks` holds the places of the variants whose surface lies elsewhere.
    """

    draw: Callable[[str, np.ndarray], list[Part]]
    variants: tuple[str, ...]
    mark: Mark
    marks: dict[str, Mark] = field(default_factory=dict)

    def mark_of(self, variant: str) -> Mark:
        return self.marks.get(variant, self.mark)


SHAPES: dict[str, Shape] = {
    "t-shirt": Shape(clothes.t_shirt, ("crew-neck", "v-neck", "polo", "long-sleeve", "tank"), (0.59, 0.36, 0.045)),
    "dress": Shape(clothes.dress, ("a-line", "sheath", "maxi", "skater"), (0.5, 0.25, 0.04)),
    "trousers": Shape(clothes.trousers, ("straight", "flared", "shorts", "cropped"), (0.6, 0.33, 0.04)),
    "sneaker": Shape(shoes.sneaker, ("low", "high-top", "runner", "slip-on"), (0.29, 0.6, 0.045)),
    "boot": Shape(shoes.boot, ("ankle", "knee-high", "chelsea", "heeled"), (0.34, 0.71, 0.045)),
    "handbag": Shape(bags.handbag, ("tote", "satchel", "bucket", "clutch"), (0.5, 0.77, 0.045)),
    "backpack": Shape(bags.backpack, ("round", "roll-top", "flap", "square"), (0.5, 0.76, 0.055)),
    "hat": Shape(clothes.hat, ("cap", "bucket-hat", "beanie", "fedora"), (0.46, 0.45, 0.05)),
    "watch": Shape(accessories.watch, ("dress", "square", "digital", "bracelet", "chronograph"), (0.5, 0.2, 0.035)),
    "sunglasses": Shape(accessories.sunglasses, ("wayfarer", "round", "aviator", "cat-eye"), (0.27, 0.57, 0.035)),
    "mug": Shape(vessels.mug, ("straight", "tapered", "barrel", "camping"), (0.43, 0.56, 0.075)),
    "bottle": Shape(vessels.bottle, ("sport", "slim", "flask", "loop"), (0.5, 0.77, 0.055)),
    "vase": Shape(vessels.vase, ("amphora", "cylinder", "bulb", "hourglass"), (0.5, 0.75, 0.05)),
    "lamp": Shape(
        furniture.lamp,
        ("table", "globe", "desk", "arc"),
        (0.5, 0.34, 0.05),
        {"desk": (0.7, 0.36, 0.045), "arc": (0.72, 0.42, 0.045)},
    ),
    "chair": Shape(
        furniture.chair,
        ("dining", "slatted", "armchair", "stool", "swivel"),
        (0.5, 0.27, 0.04),
        {"slatted": (0.5, 0.58, 0.026), "stool": (0.5, 0.3, 0.028), "armchair": (0.5, 0.36, 0.045)},
    ),
    "sofa": Shape(furniture.sofa, ("two-seat", "three-seat", "chesterfield", "chaise"), (0.72, 0.7, 0.035)),
}
