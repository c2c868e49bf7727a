"""CUBE against a loop over candidates."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch

from openmoon.ctr.batches import Batches
from openmoon.ctr.content import Content
from openmoon.ctr.models.cube import Cube
from openmoon.ctr.scene import Scene
from tests.ctr.plain import filled
from tests.ctr.tables import config, shop_log, shop_parts

LOG = shop_log()
module = import_module("openmoon.ctr.models.cube")  # the package has a function of that name


def softmax_sum(logits: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return torch.softmax(logits, 0) @ values if len(values) else torch.zeros(values.shape[-1]).double()


@pytest.mark.parametrize("newest", [3, module.NEWEST])
def test_parity_with_a_loop_over_candidates(newest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEWEST", newest)
    parts = shop_parts(LOG, config())
    block = filled(Cube(8, 8, 5))
    block.log_temperature.data.fill_(-1.0)
    embeddings, content = filled(parts.embeddings()), filled(Content(parts.vectors))
    batch = list(Batches(LOG, LOG.requests("train"), 60, 6).in_order())[-1]
    scene = Scene(batch, embeddings, content)
    found = block(scene)
    ours = torch.cat(found.candidate, -1)
    tau = block.log_temperature.exp()
    plain = torch.zeros_like(ours)
    for r, k in [(r, k) for r in range(ours.shape[0]) for k in range(ours.shape[1])]:
        past = batch.history[r][batch.history[r] > 0]
        kind, age = batch.kind[r][: len(past)], batch.age[r][: len(past)]
        behaviours = embeddings.behaviour(past)
        behaviours = torch.cat(
            [behaviours[:, :4] + embeddings.of("kind", kind) + embeddings.of("age", age), behaviours[:, 4:]], 1
        )
        target, v, vs = embeddings.behaviour(batch.item[r, k]), content(batch.item[r, k]), content(past)
        ids = block.key(behaviours) @ block.query(target) / 8**0.5
        cosines = vs @ v
        first = torch.zeros(newest).double()
        first[: len(past)] = cosines[:newest]
        plain[r, k] = torch.cat([
            softmax_sum(ids, behaviours), softmax_sum(cosines / tau, behaviours),
            softmax_sum(cosines / tau, vs @ block.interest.weight.T), first, block.item.weight @ v,
            (content(batch.query[r]) @ v)[None],
        ])  # fmt: skip
    torch.testing.assert_close(ours, plain, atol=1e-11, rtol=1e-8)
    torch.testing.assert_close(found.request[0], content(batch.query) @ block.asked.weight.T)
    assert (found.request[0].shape[-1], ours.shape[-1]) == (block.request_width, 2 * 8 + 2 * 5 + newest + 1)
    weights = [p for m in (block, embeddings, content) for p in m.parameters()]
    weigh = torch.linspace(-1, 1, ours.numel(), dtype=torch.float64).view(ours.shape)
    gradients = (torch.autograd.grad((value * weigh).sum(), weights, materialize_grads=True, retain_graph=True)
                 for value in (ours, plain))  # fmt: skip
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=1e-8)
