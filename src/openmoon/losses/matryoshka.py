"""Matryoshka representation learning (Kusupati et al. 2022): the first dimensions of a vector are a vector themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def matryoshka(loss: Callable[..., Tensor], vectors: Sequence[Tensor], dims: Sequence[int]) -> Tensor:
    """Mean over `dims` of `loss(*cuts)`, a cut being the first d dimensions of each of `vectors`, normalised again."""
    return torch.stack([loss(*(F.normalize(v[:, :d], dim=-1) for v in vectors)) for d in dims]).mean(0)
