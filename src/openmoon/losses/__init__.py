"""Objectives over unit vectors, one a file. Each gives the loss of every query, (B,), so that weights, blocks, Matryoshka cuts
and means are put on from outside; masks stand beside them."""

from openmoon.losses.blocks import in_blocks
from openmoon.losses.circle import circle
from openmoon.losses.info_nce import info_nce
from openmoon.losses.masks import log_frequency, same_identity, too_similar
from openmoon.losses.matryoshka import matryoshka
from openmoon.losses.sigmoid import sigmoid
from openmoon.losses.triplet import triplet

__all__ = [
    "circle", "in_blocks", "info_nce", "log_frequency", "matryoshka", "same_identity", "sigmoid", "too_similar",
    "triplet",
]  # fmt: skip
