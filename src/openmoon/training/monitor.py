"""Is the embedding space alive? A stop when it dies."""

from __future__ import annotations

from openmoon.errors import UserError

COLLAPSED_COSINE = 0.99
COLLAPSED_RANK = 1.5
ENOUGH = 8  # of fewer vectors the rank is low though they differ


def check_alive(statistics: dict[str, float], vectors: int, stage: str, step: int) -> None:
    """Raise `UserError` when the vectors of inputs that differ have all become one; fewer than ENOUGH of them say nothing."""
    if vectors < ENOUGH:
        return
    if statistics["mean_cosine"] > COLLAPSED_COSINE or statistics["effective_rank"] < COLLAPSED_RANK:
        raise UserError(f"{stage}, step {step}: the vectors collapsed (mean cosine {statistics['mean_cosine']:.3f}, effective "
                        f"rank {statistics['effective_rank']:.1f}); lower {stage}.lr or raise {stage}.temperature.")  # fmt: skip
