"""What every shopper did, in order of time: stored once per shopper, sliced for every request."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from openmoon.data.schema import ACTIONS

QUERY = len(ACTIONS)  # kind of a behaviour that is a query; the others are ACTIONS by number, 0 (impression) means none
KINDS = len(ACTIONS) + 1


@dataclass(frozen=True)
class Histories:
    """Behaviours of all shoppers, each shopper's together and in order of time: entity, kind, seconds (n,)."""

    entity: np.ndarray  # int32 rows of `Entities`
    kind: np.ndarray  # int8
    seconds: np.ndarray  # int64 since the epoch


def in_order(behaviours: pl.DataFrame) -> pl.DataFrame:
    """A table with user (number), entity, kind, seconds as histories have it; behaviours at one second keep their order."""
    return behaviours.filter(pl.col("entity") > 0).sort("user", "seconds", maintain_order=True)


def before(past: pl.DataFrame, user: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the behaviours of shopper `user` strictly before `seconds` begin and end in `past` (see `in_order`), each (n,)."""
    owner, moment = past["user"].to_numpy(), past["seconds"].to_numpy()
    start, stop = (np.searchsorted(owner, user, side=side) for side in ("left", "right"))
    if not len(past) or not len(user):
        return start, stop
    owners, number = np.unique(owner, return_inverse=True)  # counted from 0: so many seconds each must fit into 63 bits
    zero = min(moment.min(), seconds.min())
    span = int(max(moment.max(), seconds.max()) - zero) + 2
    end = np.searchsorted(number * span + (moment - zero), np.searchsorted(owners, user) * span + (seconds - zero))
    return start, end.clip(start, stop)
