"""Embeddings of fields against nn.Embedding, in float64."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from openmoon.ctr.scene import Embeddings

FIELDS = ("id", "category", "shop", "price")


def test_lookups_and_gradients_are_those_of_embedding() -> None:
    random = np.random.default_rng(0)
    sizes = {"id": 9, "category": 4, "shop": 3, "price": 5, "user": 6}
    numbers = {field: random.integers(0, sizes[field], 12).astype(np.int32) for field in FIELDS}
    embeddings = Embeddings(numbers, np.zeros((12, 2), np.int32), sizes, 3).double()
    rows = torch.from_numpy(random.integers(0, 12, (5, 7)))
    plain = [F.embedding(torch.from_numpy(numbers[field]).long()[rows], embeddings.tables[field].weight) for field in FIELDS]
    for found, count in ((embeddings.product(rows), 4), (embeddings.behaviour(rows), 2)):
        expected = torch.cat(plain[:count], -1)
        assert torch.equal(found, expected)
        weight = torch.randn(found.shape, dtype=torch.float64)
        tables = [embeddings.tables[field].weight for field in FIELDS[:count]]
        ours, theirs = (torch.autograd.grad((value * weight).sum(), tables, retain_graph=True) for value in (found, expected))
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-14)


def test_nothing_to_look_up() -> None:
    embeddings = Embeddings({field: np.zeros(3, np.int32) for field in FIELDS}, np.zeros((3, 2), np.int32),
                            dict.fromkeys((*FIELDS, "user"), 2), 3)  # fmt: skip
    assert embeddings.behaviour(torch.zeros(4, 0, dtype=torch.long)).shape == (4, 0, 6)
