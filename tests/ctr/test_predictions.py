"""What a model predicts does not depend on what else it predicts at the same time; every model learns with all of its weights."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from openmoon.config.ctr import CtrModelName
from openmoon.ctr.batches import Batch, Batches
from openmoon.ctr.build import Parts, build, build_content_model, entity_codes, uses_vectors
from openmoon.ctr.codes import residual_kmeans
from openmoon.ctr.fit import predict
from openmoon.ctr.model import CtrModel
from tests.ctr.tables import config, shop_log, shop_parts

MODELS = get_args(CtrModelName)
SETTINGS = config(position=True)
LOG = shop_log()
TEST = LOG.requests("test")


def parts(name: str) -> Parts:
    found = shop_parts(LOG, SETTINGS)
    if name == "semantic_ids":
        vectors = found.vectors.vectors[1 : LOG.entities.first_query].numpy()
        return replace(found, codebooks=residual_kmeans(vectors, 2, 4))
    return found if uses_vectors(name) else replace(found, rows=None)


def built(name: str) -> CtrModel:
    """A model whose every weight matters."""
    torch.manual_seed(0)
    model = build(name, parts(name))
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.2 * torch.randn_like(value))
        model.places[:] = torch.rand(len(model.places))
        model.places /= model.places.sum()
    return model


def alone(batch: Batch, row: int, k: int) -> Batch:
    """One candidate with nothing beside it and no padding."""
    length = int((batch.history[row] > 0).sum())
    cut = {name: getattr(batch, name)[row : row + 1] for name in vars(batch) if name != "candidate"}
    cut |= {name: cut[name][:, :length] for name in ("history", "kind", "age")}
    cut |= {name: cut[name][:, k : k + 1] for name in ("item", "label", "position", "weight")}
    return Batch(**cut, candidate=batch.candidate[:1])


@pytest.mark.parametrize("name", MODELS)
def test_neither_batches_nor_neighbours_change_a_prediction(name: str) -> None:
    model = built(name)
    whole = predict(model, Batches(LOG, TEST, 10_000, 8))
    assert np.isfinite(whole).all()
    assert whole.std() > 1e-3
    for size in (1, 17):
        np.testing.assert_allclose(predict(model, Batches(LOG, TEST, size, 8)), whole, atol=2e-6)
    some = TEST[::-3]
    places = np.searchsorted(LOG.candidates(TEST), LOG.candidates(np.sort(some)))
    np.testing.assert_allclose(predict(model, Batches(LOG, some, 17, 8)), whole[places], atol=2e-6)
    (batch,) = Batches(LOG, TEST, 10_000, 8).in_order()
    with torch.inference_mode():
        together = model.probabilities(model(batch))
        for row, k in torch.nonzero(batch.item > 0)[::7].tolist():
            one = alone(batch, row, k)
            assert model.probabilities(model(one)).item() == pytest.approx(together[row, k].item(), abs=2e-6)


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_is_trained(name: str) -> None:
    """But for MAKE's network, which stays as it is, and the vector for what has none where no other block sees vectors."""
    model = built(name).train()
    batch = next(Batches(LOG, LOG.requests("train"), 10_000, 8).in_order())
    model.training_logits(model(batch), batch).square().sum().backward()
    for field, value in model.named_parameters():
        if ".network." in field or (field == "content.missing" and name in ("make", "semantic_ids")):
            assert value.grad is None, field
        else:
            assert value.grad is not None, field
            assert value.grad.any(), field


@pytest.mark.parametrize("name", [name for name in MODELS if uses_vectors(name)])
def test_vectors_matter_to_models_that_use_them(name: str) -> None:
    found = parts(name)
    other = replace(found, rows=replace(found.vectors, vectors=found.vectors.vectors.roll(3, 0)))
    before = predict(built(name), Batches(LOG, TEST, 100, 8))
    torch.manual_seed(0)
    model = build(name, other)
    model.load_state_dict(built(name).state_dict())
    assert not np.allclose(before, predict(model, Batches(LOG, TEST, 100, 8)), atol=1e-4)


def test_the_content_model_knows_no_ids() -> None:
    torch.manual_seed(0)
    model = build_content_model(parts("make"))
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"network", "content"}
    before = predict(model, Batches(LOG, TEST, 100, 8))
    other = replace(LOG, user=np.zeros_like(LOG.user), vocabulary=replace(LOG.vocabulary, prices=np.zeros(0)))
    np.testing.assert_allclose(predict(model, Batches(other, TEST, 100, 8)), before, atol=1e-6)


@pytest.mark.parametrize("name", ["din", "cube"])
def test_places_on_the_page_count_in_training_and_not_in_predictions(name: str) -> None:
    model = built(name)
    batch = next(Batches(LOG, TEST, 100, 8).in_order())
    moved = replace(batch, position=(batch.position + 3) * (batch.item > 0))
    with torch.inference_mode():
        one, other = model(batch), model(moved)
        torch.testing.assert_close(model.probabilities(one), model.probabilities(other), rtol=0, atol=0)
        assert not torch.allclose(model.training_logits(one, batch), model.training_logits(other, moved))
        far = replace(batch, position=torch.full_like(batch.position, 10_000))
        assert torch.isfinite(model.training_logits(one, far)).all()


def test_predictions_average_over_the_places() -> None:
    model = built("dnn")
    batch = next(Batches(LOG, TEST, 100, 8).in_order())
    with torch.inference_mode():
        output = model(batch)
        each = [
            model.places[n] * torch.sigmoid(output + model.place.weight[n, 0]) for n in range(len(model.places))
        ]
        torch.testing.assert_close(model.probabilities(output), sum(each))
    plain = build("dnn", replace(parts("dnn"), config=config()))
    with torch.inference_mode():
        output = plain.eval()(batch)
        torch.testing.assert_close(plain.probabilities(output), torch.sigmoid(output))
        torch.testing.assert_close(plain.training_logits(output, batch), output)


def test_entities_without_a_vector_have_no_codes() -> None:
    found = parts("semantic_ids")
    assert found.codebooks is not None
    codes = entity_codes(found.vectors, found.codebooks)
    without = ~found.vectors.vectors.any(1).numpy()
    assert without.sum() == 3  # nothing, p1, the last query
    assert not codes[without].any()
    assert codes[~without].min() >= 1
