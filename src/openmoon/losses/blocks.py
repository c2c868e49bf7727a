"""Losses of very large batches: queries in blocks, so that no matrix of all queries by all items is ever whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

BLOCK = 1024  # queries


def in_blocks(loss: Callable[[Tensor], Tensor], total: int, device: torch.device, block: int = BLOCK) -> Tensor:
    """`loss(rows)`, rows an int64 tensor of query numbers, for all of `total` queries: (total,).

    Blocks are computed again for the gradient, so memory grows with block × items, not with queries × items. A batch that
    fits one block is computed once.
    """
    rows = torch.arange(total, device=device)
    if total <= block:
        return loss(rows)
    parts = [checkpoint(loss, part, use_reentrant=False, preserve_rng_state=False) for part in rows.split(block)]
    return torch.cat([part for part in parts if part is not None])
