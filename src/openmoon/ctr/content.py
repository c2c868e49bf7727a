"""The vectors of products and queries as rows of entities: looked up, never part of a model's weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from openmoon.ctr.entities import Entities


@dataclass(frozen=True)
class VectorRows:
    """Vectors (rows, dim) float32 of unit length in the rows of entities, zeros where there is none; `encoder` names what made
    them. `covered` is the share of the products that have one."""

    vectors: torch.Tensor
    encoder: str
    covered: float

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])


def vector_rows(
    entities: Entities, ids: Sequence[str], vectors: np.ndarray, queries: np.ndarray | None, encoder: str
) -> VectorRows:
    """Put vectors (n, dim) of product `ids`, and of `entities.queries` in their order (NaN rows: none), into rows."""
    import polars as pl

    rows = np.zeros((len(entities), vectors.shape[1]), np.float32)
    places = entities.of_products(pl.Series(list(ids), dtype=pl.String))
    rows[places[places > 0]] = vectors[places > 0]
    if queries is not None:
        rows[entities.first_query :] = np.nan_to_num(queries)
    found = torch.from_numpy(rows)
    products = found[1 : entities.first_query]
    return VectorRows(
        F.normalize(found, dim=1), encoder, float(products.any(1).float().mean()) if len(products) else 0.0
    )


class Content(nn.Module):
    """Rows of entities → vectors of unit length. What has no vector gets a learnt one; row 0, nothing, stays zero."""

    def __init__(self, rows: VectorRows) -> None:
        super().__init__()
        self.dim = rows.dim
        self.vectors: torch.Tensor
        self.absent: torch.Tensor
        self.register_buffer("vectors", rows.vectors, persistent=False)
        absent = ~rows.vectors.any(1)
        absent[0] = False
        self.register_buffer("absent", absent, persistent=False)
        self.missing = nn.Parameter(torch.randn(self.dim) / self.dim**0.5)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(...,) rows → (..., dim)."""
        found = F.embedding(rows, self.vectors)
        absent = self.absent[rows]
        if absent.any():
            found = torch.where(absent[..., None], F.normalize(self.missing, dim=0), found)
        return found
