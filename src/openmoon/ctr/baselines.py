"""What needs no model: how often a product was chosen, and how often its place on the page is."""

from __future__ import annotations

import numpy as np

from openmoon.ctr.log import CtrLog

_PRIOR = 20.0  # impressions at the mean rate that every product, and every place, starts with


def popularity_only(log: CtrLog, rows: np.ndarray) -> np.ndarray:
    """The product's share of choices among its training impressions, drawn to the mean where there are few."""
    return _rates(log, log.item, rows)


def position_only(log: CtrLog, rows: np.ndarray) -> np.ndarray:
    """The same of the place on the page."""
    return _rates(log, log.position, rows)


def _rates(log: CtrLog, key: np.ndarray, rows: np.ndarray) -> np.ndarray:
    _, key = np.unique(key, return_inverse=True)  # places may be any numbers
    size = int(key.max()) + 1
    shown, chosen = np.zeros(size), np.zeros(size)
    for some in log.blocks("train"):
        shown += np.bincount(key[some], minlength=size)
        chosen += np.bincount(key[some], weights=log.label[some], minlength=size)
    mean = chosen.sum() / shown.sum()
    return ((chosen + _PRIOR * mean) / (shown + _PRIOR))[key[rows]].astype(np.float32)


BASELINES = {"popularity only": popularity_only, "position only": position_only}
