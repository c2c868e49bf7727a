"""Which in-batch pairs are no negatives. Identity is decided by the input, never by equal vectors: dropout breaks that."""

from __future__ import annotations

from torch import Tensor


def same_identity(*identities: Tensor) -> Tensor:
    """(B, B) bool, true where rows i and j share any of the identities, each an int64 (B,): product or SPU, query.

    Two rows of one SPU are positives of each other's query, and two rows of one query have both items as positives;
    as negatives they would be false.
    """
    masks = [ids[:, None] == ids[None, :] for ids in identities]
    return sum(masks[1:], start=masks[0])
