"""Matryoshka representation learning (Kusupati et al. 2022): the first dimensions of a vector are a vector themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def matryoshka(loss: Callable[[Tensor, Tensor], Tensor], queries: Tensor, items: Tensor, dims: Sequence[int]) -> Tensor:
    """Mean of `loss(queries[:, :d], items[:, :d])` over `dims`, every cut normalised again."""
    cuts = [loss(F.normalize(queries[:, :d], dim=-1), F.normalize(items[:, :d], dim=-1)) for d in dims]
    return torch.stack(cuts).mean()
