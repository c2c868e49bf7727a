"""Train, then validation, then test, in order of time and with gaps between them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from openmoon.config.ctr import TimeSplitConfig
from openmoon.errors import UserError
from openmoon.learnt import naive_utc

TRAIN, VAL, TEST, GAP = 0, 1, 2, -1
SPLIT_NAMES = {"train": TRAIN, "val": VAL, "test": TEST}


def time_split(seconds: np.ndarray, counts: np.ndarray, config: TimeSplitConfig) -> tuple[np.ndarray, dict[str, int]]:
    """Part of each request (R,) int8, of requests in order of time, `counts` (R,) impressions each; and how many impressions each
    part has. Raises `UserError` for a validation part that does not begin before the test part, and for an empty part."""
    val, test = _border(seconds, counts, config.val, config.test), _border(seconds, counts, config.test, 0.0)
    if val >= test:
        raise UserError(f"ctr.split: val begins at {_moment(val)}, which is not before test at {_moment(test)}; what is learnt "
                        "from lies before what is measured.")  # fmt: skip
    gap = config.gap * 3600
    parts = [(seconds >= test, TEST), (seconds >= test - gap, GAP), (seconds >= val, VAL), (seconds >= val - gap, GAP)]
    split = np.select([at for at, _ in parts], [part for _, part in parts], TRAIN).astype(np.int8)
    found = {f"in {name}": int(counts[split == number].sum()) for name, number in SPLIT_NAMES.items()}
    for name in SPLIT_NAMES:
        if not found[f"in {name}"]:
            begins = f"val from {_moment(val)}, test from {_moment(test)}, gap {config.gap} h"
            raise UserError(f"ctr.split: {name} is empty ({begins}, log from {_moment(seconds[0])} to {_moment(seconds[-1])}); "
                            "change ctr.split or bring more days.")  # fmt: skip
    return split, found | {"in the gaps, left out": int(counts[split == GAP].sum())}


def _border(seconds: np.ndarray, counts: np.ndarray, begin: float | datetime, after: float | datetime) -> float:
    """When a part begins: at a given moment, or so that it has this share of the impressions before the next part."""
    if isinstance(begin, datetime):
        return naive_utc(begin).replace(tzinfo=UTC).timestamp()
    total = np.cumsum(counts)
    until = _before(seconds, total, after) if isinstance(after, datetime) else round(total[-1] * (1 - after))
    return float(seconds[min(int(np.searchsorted(total, until - begin * total[-1], side="right")), len(seconds) - 1)])


def _before(seconds: np.ndarray, total: np.ndarray, moment: datetime) -> int:
    """Impressions before a moment."""
    requests = int(np.searchsorted(seconds, naive_utc(moment).replace(tzinfo=UTC).timestamp()))
    return int(total[requests - 1]) if requests else 0


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC).replace(tzinfo=None)
