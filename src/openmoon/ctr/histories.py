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
    """Behaviours of all shoppers, shopper after shopper and each in order of time: entity, kind, seconds (n,).

    `first` (users + 1,) says where a shopper's behaviours begin.
    """

    entity: np.ndarray  # int32 rows of `Entities`
    kind: np.ndarray  # int8
    seconds: np.ndarray  # int64 since the epoch
    first: np.ndarray  # int64

    def before(self, user: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the behaviours of shopper `user` strictly before `seconds` begin and end, each (n,) int64."""
        start = self.first[user]
        if not len(self.seconds):
            return start, start
        span = int(max(self.seconds.max(), seconds.max()) - min(self.seconds.min(), seconds.min())) + 2
        zero = min(self.seconds.min(), seconds.min())
        owner = np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))
        end = np.searchsorted(owner * span + (self.seconds - zero), user.astype(np.int64) * span + (seconds - zero), side="left")
        return start, np.maximum(end, start)


def histories(behaviours: pl.DataFrame, users: int) -> Histories:
    """From a table with user (number), entity, kind, seconds, in any order; behaviours at one second keep their order."""
    table = behaviours.filter(pl.col("entity") > 0).sort("user", "seconds", maintain_order=True)
    counts = np.bincount(table["user"].to_numpy(), minlength=users)
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Histories(table["entity"].to_numpy(), table["kind"].to_numpy(), table["seconds"].to_numpy(), first)
