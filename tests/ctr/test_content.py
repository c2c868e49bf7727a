"""Vectors in the rows of entities: what has one, what has none, and what is nothing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from openmoon.ctr.content import Content, vector_rows
from tests.ctr.tables import catalog, entities

ASKED = pl.DataFrame(
    {"query_text": ["a", "b"], "query_image": [None, None]}, schema_overrides={"query_image": pl.String}
)
ENTITIES = entities(catalog(5), ASKED)
VECTORS = np.array([[3, 4], [0, 2], [5, 5]], np.float32)


def test_vectors_find_their_rows_whatever_their_order_and_have_unit_length() -> None:
    found = vector_rows(ENTITIES, ["p3", "p0", "gone"], VECTORS, np.array([[np.nan, np.nan], [0, -9]], np.float32), "e")
    expected = [[0, 0], [0, 1], [0, 0], [0, 0], [0.6, 0.8], [0, 0], [0, 0], [0, -1]]
    torch.testing.assert_close(found.vectors, torch.tensor(expected))
    assert found.covered == pytest.approx(2 / 5)
    assert not vector_rows(ENTITIES, ["p3"], VECTORS[:1], None, "e").vectors[6:].any()


def test_what_has_no_vector_gets_the_learnt_one_and_nothing_stays_zero() -> None:
    content = Content(vector_rows(ENTITIES, ["p3", "p0"], VECTORS[:2], None, "e"))
    found = content(torch.tensor([[0, 1], [2, 7]]))
    missing = content.missing / content.missing.norm()
    torch.testing.assert_close(found[1], torch.stack([missing, missing]))
    assert not found[0, 0].any()
    torch.testing.assert_close(found[0, 1], torch.tensor([0.0, 1.0]))
    found[..., 0].sum().backward()
    assert content.missing.grad is not None
    assert content.missing.grad.any()
    assert [name for name, _ in content.named_parameters()] == ["missing"]
    assert list(content.state_dict()) == ["missing"], "vectors are looked up, not saved with the model"
