"""Train, then validation, then test, in order of time and with gaps between them."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from openmoon.config.ctr import TimeSplitConfig
from openmoon.errors import UserError

TRAIN, VAL, TEST, GAP = 0, 1, 2, -1
SPLIT_NAMES = {"train": TRAIN, "val": VAL, "test": TEST}


def time_split(
    times: pl.Series, impressions_of: np.ndarray, config: TimeSplitConfig
) -> tuple[np.ndarray, dict[str, int]]:
    """Part of each request (R,) int8, of requests in order of time, and how many impressions each part has."""
    val, test = (
        _border(times, impressions_of, config.val, config.test),
        _border(times, impressions_of, config.test, 0.0),
    )
    if val >= test:
        raise UserError(f"ctr.split: val begins at {val}, which is not before test at {test}; what is learnt from lies before "
                        "what is measured.")  # fmt: skip
    gap = timedelta(hours=config.gap)
    at = times.to_frame("at").select(
        pl.when(pl.col("at") >= test).then(TEST).when(pl.col("at") >= test - gap).then(GAP)
        .when(pl.col("at") >= val).then(VAL).when(pl.col("at") >= val - gap).then(GAP).otherwise(TRAIN).cast(pl.Int8)
    )  # fmt: skip
    split = at.to_series().to_numpy()
    counts = {}
    for name, number in SPLIT_NAMES.items():
        counts[f"in {name}"] = int(impressions_of[split == number].sum())
        if not counts[f"in {name}"]:
            raise UserError(f"ctr.split: {name} is empty (val from {val}, test from {test}, gap {config.gap} h, log from "
                            f"{times[0]} to {times[-1]}); change ctr.split or bring more days.")  # fmt: skip
    counts["in the gaps, left out"] = int(impressions_of[split == GAP].sum())
    return split, counts


def _border(times: pl.Series, counts: np.ndarray, begin: float | datetime, after: float | datetime) -> datetime:
    """The moment when a part begins: a given one, or so that it has this share of the impressions before the next part."""
    if isinstance(begin, datetime):
        return begin
    total = np.cumsum(counts)
    last = total[-1]
    until = total[max(int((times < after).sum()) - 1, 0)] if isinstance(after, datetime) else round(last * (1 - after))
    row = int(np.searchsorted(total, until - begin * last, side="right"))
    return times[min(row, len(times) - 1)]
