"""Where a query's own item stands among the columns."""

from __future__ import annotations

import torch
from torch import Tensor


def own_columns(queries: Tensor) -> Tensor:
    """(B,) int64: item i belongs to query i."""
    return torch.arange(len(queries), device=queries.device)


def spare(ignore: Tensor, *positives: Tensor | None) -> Tensor:
    """`ignore` (B, N) with the positive columns, each (B,), taken out: a positive is never masked."""
    kept = ignore.clone()
    for columns in positives:
        if columns is not None:
            kept.scatter_(1, columns[:, None], False)
    return kept


def split_scores(scores: Tensor, positive: Tensor, ignore: Tensor | None) -> tuple[Tensor, Tensor]:
    """`scores` (B, N) → those of the positives (B,), and which columns are negatives (B, N) bool."""
    negative = torch.ones_like(scores, dtype=torch.bool) if ignore is None else ~ignore
    return scores.gather(1, positive[:, None])[:, 0], negative.scatter(1, positive[:, None], False)
