"""The best items of a query, over more items than fit in memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch


def topk(query_vectors: np.ndarray, item_chunks: Iterable[np.ndarray], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best items of each query by a running top-k over chunks of items.

    Args:
        query_vectors: (Q, d).
        item_chunks: arrays (n_i, d) in item order; read once, one at a time.
        k: wanted results; fewer come back when there are fewer items.

    Returns:
        (scores (Q, k) float32, item rows (Q, k) int64), best first; of equal scores the lower row comes first.
    """
    queries = torch.from_numpy(np.array(query_vectors, np.float32))
    best = torch.empty((len(queries), 0), dtype=torch.int64)
    first = 0
    for items in item_chunks:
        keys = torch.cat([best, _sortable(queries @ torch.from_numpy(np.array(items, np.float32)).T, first)], dim=1)
        best = keys.topk(min(k, keys.shape[1]), dim=1, sorted=True).values
        first += len(items)
    return _scores_of(best).numpy(), (_ROW_MASK - (best & _ROW_MASK)).numpy()


_ROW_MASK = 2**32 - 1


def _sortable(scores: torch.Tensor, first: int) -> torch.Tensor:
    """(score, row) packed into one integer that sorts by score and then by lower row, so that top-k has no ties."""
    bits = (scores + 0.0).contiguous().view(torch.int32).to(torch.int64)  # + 0.0 makes -0.0 and 0.0 one number
    ordered = torch.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
    rows = torch.arange(first, first + scores.shape[1])
    return ordered * 2**32 + (_ROW_MASK - rows)


def _scores_of(keys: torch.Tensor) -> torch.Tensor:
    ordered = keys >> 32
    bits = torch.where(ordered < 0, -ordered - 2**31, ordered)
    return bits.to(torch.int32).view(torch.float32)
