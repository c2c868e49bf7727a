"""A model that is saved and loaded predicts the same; vectors that it was not trained with are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from openmoon.config.ctr import CtrModelName
from openmoon.ctr.batches import Batches
from openmoon.ctr.build import uses_vectors
from openmoon.ctr.content import VectorRows
from openmoon.ctr.fit import predict
from openmoon.ctr.saved import load_model, save_model
from openmoon.errors import UserError
from tests.ctr.tables import shop_vectors
from tests.ctr.test_predictions import LOG, TEST, built, parts

ROWS = shop_vectors(LOG)


@pytest.mark.parametrize("name", get_args(CtrModelName))
def test_a_loaded_model_predicts_the_same(name: str, tmp_path: Path) -> None:
    model = built(name)
    save_model(tmp_path, name, model, parts(name))
    loaded = load_model(tmp_path, LOG.entities, ROWS if uses_vectors(name) else None)
    assert not loaded.training
    batches = Batches(LOG, TEST, 100, 8)
    np.testing.assert_array_equal(predict(loaded, batches), predict(model, batches))


@pytest.mark.parametrize(("rows", "message"), [
    (None, "cube reads vectors; name the table that 'e' made"),
    (shop_vectors(LOG, dim=5), "trained with vectors of 8 dimensions, these have 5"),
    (shop_vectors(LOG, encoder="f"), "trained with vectors of encoder 'e', these are of 'f'"),
])  # fmt: skip
def test_other_vectors_are_refused(rows: VectorRows | None, message: str, tmp_path: Path) -> None:
    save_model(tmp_path, "cube", built("cube"), parts("cube"))
    with pytest.raises(UserError, match=message):
        load_model(tmp_path, LOG.entities, rows)


def test_new_products_are_unknown_to_a_loaded_model_but_have_vectors(tmp_path: Path) -> None:
    """Products beyond those of the training, in another order: what is known keeps its numbers."""
    save_model(tmp_path, "din", built("din"), parts("din"))
    products = LOG.entities.products
    more = products.with_columns(product_id="new-" + products["product_id"])
    entities = replace(LOG.entities, products=more.vstack(products))
    loaded, shift = load_model(tmp_path, entities, None), len(more)
    moved = replace(LOG, entities=entities, item=LOG.item + shift, query=np.where(LOG.query, LOG.query + shift, 0),
                    histories=replace(LOG.histories, entity=LOG.histories.entity + shift))  # fmt: skip
    np.testing.assert_allclose(
        predict(loaded, Batches(moved, TEST, 100, 8)), predict(built("din"), Batches(LOG, TEST, 100, 8)), atol=1e-6
    )


def test_folders_without_a_model_or_of_another_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no CTR model here \(config.json is missing\)"):
        load_model(tmp_path, LOG.entities, None)
    save_model(tmp_path, "din", built("din"), parts("din"))
    found = json.loads((tmp_path / "config.json").read_text())
    assert (found["encoder"], found["vector_dim"]) == (None, None)
    (tmp_path / "config.json").write_text(json.dumps(found | {"format": 2}))
    with pytest.raises(UserError, match="format is 2, this openmoon reads 1"):
        load_model(tmp_path, LOG.entities, None)
