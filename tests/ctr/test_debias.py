"""The debiasing network, its loss against a loop, and inverse propensity weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from openmoon.ctr import debias
from openmoon.ctr import log as log_module
from openmoon.ctr.content import Content
from openmoon.ctr.debias import AdjustedContent, HeadAndTail, exposure_weights
from tests.ctr.plain import filled
from tests.ctr.tables import config, shop_log, shop_vectors

SETTINGS = config(debias={"alpha": 0.3, "head": 0.4, "tail": 0.4, "temperature": 0.2, "per_step": 6})
LOG = shop_log()
ROWS = shop_vectors(LOG)


def test_adjusted_vectors_start_as_the_vectors() -> None:
    torch.manual_seed(0)
    adjusted = AdjustedContent(ROWS)
    plain = Content(ROWS)
    plain.load_state_dict({"missing": adjusted.missing})
    rows = (
        torch.arange(len(LOG.entities)).view(2, -1) if len(LOG.entities) % 2 == 0 else torch.arange(len(LOG.entities))
    )
    torch.testing.assert_close(adjusted(rows), plain(rows))


def test_gradients_reach_the_network_and_nothing_stays_nothing() -> None:
    adjusted = filled(AdjustedContent(ROWS))
    found = adjusted(torch.tensor([0, 3, 5, 3]))
    assert not found[0].any()
    assert found[1].equal(found[3])
    torch.testing.assert_close(found[1:].norm(dim=1), torch.ones(3).double())
    assert not torch.allclose(found[1].float(), ROWS.vectors[3])
    found[..., 0].sum().backward()
    for name, value in adjusted.adjust.named_parameters():
        assert value.grad is not None
        assert value.grad.any(), name


def test_the_last_layer_is_reached_from_the_start() -> None:
    adjusted = AdjustedContent(ROWS)
    adjusted(torch.tensor([3, 4]))[..., 0].sum().backward()
    assert adjusted.adjust[2].weight.grad.any()  # type: ignore[union-attr]


def test_head_and_tail_are_the_most_and_least_shown() -> None:
    loss = HeadAndTail(Content(ROWS), LOG, SETTINGS.debias, 5, 0)
    shown = LOG.shown("train")
    train = set(LOG.requests("train").tolist())
    counts = np.zeros(len(LOG.entities), int)
    for candidate, request in enumerate(LOG.request_of(np.arange(len(LOG.item)))):
        counts[LOG.item[candidate]] += request in train
    assert shown.tolist() == counts.tolist()
    assert len(loss.tail) == 10
    assert shown[loss.head].min() >= shown[loss.tail].max()


def test_partners_are_near_tail_products_of_the_same_category() -> None:
    loss = HeadAndTail(Content(ROWS), LOG, SETTINGS.debias, 5, 0)
    loss(0)
    for head, partners in zip(loss.head, loss.state["partners"].numpy(), strict=True):
        same = [row for row in loss.tail if loss.category[row] == loss.category[head]]
        nearest = sorted(same, key=lambda row: -float(ROWS.vectors[head] @ ROWS.vectors[row]))[: debias._HARD]
        if 2 not in (*nearest, head):  # p1 has no vector but the one that is learnt
            assert set(partners) == set(nearest)


def test_loss_is_that_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debias, "_HARD", 1)  # so that partners are not drawn
    content = filled(AdjustedContent(ROWS))
    loss = HeadAndTail(content, LOG, SETTINGS.debias, 5, seed=4)
    found = loss(2)
    assert found is not None
    assert found[0] == "debias"
    chosen = np.random.default_rng((4, 2)).choice(len(loss.head), 6, replace=False)
    head, tail, category = loss.head[chosen], loss.state["partners"].numpy()[chosen, 0], loss.category
    terms = []
    for i in range(6):
        cosines = [content(torch.tensor([head[i]]))[0] @ content(torch.tensor([tail[j]]))[0] / 0.2 for j in range(6)]
        against = [c for j, c in enumerate(cosines) if j == i or category[tail[j]] != category[head[i]]]
        terms.append(torch.logsumexp(torch.stack(against), 0) - cosines[i])
    plain = 0.3 * torch.stack(terms).mean()
    assert len(set(category[head])) > 1
    torch.testing.assert_close(found[1], plain)
    for one, other in zip(*(torch.autograd.grad(value, list(content.parameters()), materialize_grads=True)
                            for value in (found[1], plain)), strict=True):  # fmt: skip
        torch.testing.assert_close(one, other)


def test_without_partners_there_is_no_loss() -> None:
    assert HeadAndTail(Content(ROWS), LOG, SETTINGS.debias.model_copy(update={"tail": 0.0}), 5, 0)(0) is None


def test_weights_are_inverse_propensities_with_a_limit_and_mean_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "BLOCK", 5)
    train = LOG.candidates(LOG.requests("train"))
    found = exposure_weights(LOG, 4.0)
    assert found[train].mean() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(found[train] / found[train].min(), np.minimum(1 / LOG.propensity[train], 4), rtol=1e-5)
    assert not np.delete(found, train).any()


def test_without_propensities_impressions_stand_for_them() -> None:
    log = replace(LOG, propensity=np.full_like(LOG.propensity, np.nan))
    train = log.candidates(log.requests("train"))
    shown, found = log.shown("train")[log.item][train], exposure_weights(log, 1e9)[train]
    np.testing.assert_allclose(found * shown, found[0] * shown[0], rtol=1e-5)
    assert found.max() > found.min()
