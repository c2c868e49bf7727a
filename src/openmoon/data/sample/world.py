"""What the simulation knows of the products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from openmoon.data.sample.latent import LatentSpace

DAYS = 60  # length of a log


@dataclass(frozen=True)
class World:
    """The products of a shop by row: (products,) arrays beside their latent space.

    category: codes from 0. popularity: > 0, how often people have it in mind. quality: about N(0, 1), what makes it
    sell. born: the day of the log on which it appears.
    """

    space: LatentSpace
    product_ids: pl.Series
    category: np.ndarray
    popularity: np.ndarray
    quality: np.ndarray
    born: np.ndarray

    @property
    def categories(self) -> int:
        return int(self.category.max()) + 1


def make_world(space: LatentSpace, category: pl.Series, products: pl.DataFrame) -> World:
    """From the names of the categories and a table with product_id, popularity, quality, born_day."""
    _, codes = np.unique(category.to_numpy(), return_inverse=True)
    columns = (products[name].to_numpy() for name in ("popularity", "quality", "born_day"))
    return World(space, products["product_id"], codes, *columns)
