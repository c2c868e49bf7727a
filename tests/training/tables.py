"""Pair tables for tests."""

from __future__ import annotations

import numpy as np

from openmoon.data.lists import Lists
from openmoon.data.views import Parts
from openmoon.training.posttrain import PairTable


def pair_table(queries: Parts, item: np.ndarray, query: np.ndarray) -> PairTable:
    """Pairs of one visit each, with what else their query was answered with."""
    same = (query[:, None] == query) & (item[:, None] != item)
    owner, other = np.nonzero(same)
    return PairTable(queries, item, query, np.arange(len(item)), Lists.group(owner, item[other], len(item)))
