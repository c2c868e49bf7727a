"""Pair tables for tests."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from openmoon.data.lists import Lists, Others
from openmoon.data.views import ASKED, Parts
from openmoon.training.posttrain import PairTable


def pair_table(queries: Parts, item: np.ndarray, query: np.ndarray) -> PairTable:
    """Pairs, with what else their query was answered with."""
    owner, other = np.nonzero((query[:, None] == query) & (item[:, None] != item))
    others = Lists.group(owner, item[other], len(item))
    answers = dict.fromkeys(ASKED, others)
    return PairTable(queries, item, query, Others(others, np.full(len(item), -1)), answers)


def right_answers(table: PairTable, rows: np.ndarray, products: np.ndarray, spus: np.ndarray) -> Tensor:
    """(B, N) bool by a loop: products of an SPU that the query of a pair in `rows` is known to be answered with."""
    known = [{spus[other] for one in table.known("text+image") for other in one.of(np.array([row]))[0]} for row in rows]
    return torch.tensor([[spus[product] in right for product in products] for right in known])
