"""Parity with plain loops in float64, forward and gradient."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from openmoon.losses import info_nce, matryoshka
from openmoon.losses.temperature import FLOOR, Temperature
from tests.losses.plain import assert_parity, batch, identities


def by_loops(
    queries: Tensor, items: Tensor, tau: Tensor, ignore: Tensor | None = None, log_q: Tensor | None = None
) -> Tensor:
    losses = []
    for i in range(len(queries)):
        terms = {
            j: torch.exp(queries[i] @ items[j] / tau) / (torch.exp(log_q[j]) if log_q is not None else 1)
            for j in range(len(items))
            if i == j or ignore is None or not ignore[i, j]
        }
        losses.append(-torch.log(terms[i] / sum(terms.values())))
    return torch.stack(losses)


TAU = torch.tensor(0.1, dtype=torch.float64)


@pytest.mark.parametrize("items", [7, 11])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("corrected", [False, True])
def test_parity_with_loops(items: int, masked: bool, corrected: bool) -> None:
    ignore = F.pad(identities(), (0, items - 7)) if masked else None
    log_q = torch.linspace(-3, -1, items, dtype=torch.float64) if corrected else None
    assert_parity(
        lambda q, p, t: info_nce(q, p, t, ignore=ignore, log_q=log_q),
        lambda q, p, t: by_loops(q, p, t, ignore, log_q),
        *batch(items=items), TAU,
    )  # fmt: skip


def test_own_items_may_stand_anywhere() -> None:
    queries, items = batch()
    order = torch.tensor([3, 1, 0, 2, 6, 5, 4])
    found = info_nce(queries, items[order], 0.1, positive=order.argsort())
    torch.testing.assert_close(found, info_nce(queries, items, 0.1))


def test_ignored_items_get_no_gradient() -> None:
    queries, items = batch(3)
    ignore = torch.zeros(3, 3, dtype=torch.bool)
    ignore[:, 2] = True  # item 2 is nobody's negative
    (gradient,) = torch.autograd.grad(info_nce(queries, items, 0.1, ignore=ignore).sum(), items)
    only_own = torch.autograd.grad(-torch.log_softmax((queries @ items.T / 0.1)[2], 0)[2], items)[0][2]
    torch.testing.assert_close(gradient[2], only_own)


def test_blended_queries_find_both_items_by_their_shares() -> None:
    """The mask spares both."""
    second, share = torch.tensor([2, 1, 0, 4, 3, 5, 6]), torch.tensor([0.3, 1, 0.6, 0.9, 0.5, 1, 0.2]).double()
    ignore = identities()

    def plain(queries: Tensor, items: Tensor) -> Tensor:
        losses = []
        for i, j in enumerate(second.tolist()):
            seen = [k for k in range(7) if k in (i, j) or not ignore[i, k]]
            total = sum(torch.exp(queries[i] @ items[k] / 0.1) for k in seen)
            own, other = (torch.log(torch.exp(queries[i] @ items[k] / 0.1) / total) for k in (i, j))
            losses.append(-share[i] * own - (1 - share[i]) * other)
        return torch.stack(losses)

    assert_parity(lambda q, p: info_nce(q, p, 0.1, ignore=ignore, second=second, share=share), plain, *batch())


def test_matryoshka_is_the_mean_over_normalised_cuts() -> None:
    def plain(queries: Tensor, items: Tensor) -> Tensor:
        found = []
        for d in (2, 6):
            cut = [[v[:d] / sum(x**2 for x in v[:d]) ** 0.5 for v in vectors] for vectors in (queries, items)]
            found.append(by_loops(torch.stack(cut[0]), torch.stack(cut[1]), TAU))
        return (found[0] + found[1]) / 2

    assert_parity(lambda q, p: matryoshka(partial(info_nce, temperature=TAU), [q, p], [2, 6]), plain, *batch())


def test_a_fixed_temperature_stays() -> None:
    temperature = Temperature(0.05, learnt=False)
    assert temperature().item() == pytest.approx(0.05)
    assert not list(temperature.parameters())


def test_temperature_has_a_floor_and_learns() -> None:
    temperature = Temperature(0.05)
    assert temperature().item() == pytest.approx(0.05)
    info_nce(*batch(), temperature()).sum().backward()
    assert temperature.log_value.grad is not None
    assert temperature.log_value.grad.abs() > 0
    below = Temperature(1e-5)
    assert below().item() == pytest.approx(FLOOR)
    below().backward()
    assert below.log_value.grad > 0, "it may rise again"  # type: ignore[operator]
