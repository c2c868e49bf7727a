"""Contrastive objectives over unit vectors: one loss a file, masks and wrappers beside them."""

from openmoon.losses.info_nce import info_nce
from openmoon.losses.masks import same_identity
from openmoon.losses.matryoshka import matryoshka

__all__ = ["info_nce", "matryoshka", "same_identity"]
