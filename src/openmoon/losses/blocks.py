"""Losses of very large batches: queries in blocks, so that no matrix of all queries by all items is ever whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CELLS = 1 << 22  # query × item scores at once: 16 MiB in float32, and a few such matrices for the gradient


def in_blocks(
    loss: Callable[[Tensor], Tensor], queries: int, items: int, device: torch.device, cells: int = CELLS
) -> Tensor:
    """`loss(rows)`, rows an int64 tensor of query numbers, for all queries, each against all items: (queries, …).

    Blocks of at most `cells` scores are computed again for the gradient, so memory does not grow with queries × items. A batch
    that fits one block is computed once.
    """
    rows = torch.arange(queries, device=device)
    block = max(1, cells // items)
    if queries <= block:
        return loss(rows)
    parts = [checkpoint(loss, part, use_reentrant=False, preserve_rng_state=False) for part in rows.split(block)]
    return torch.cat(parts)
