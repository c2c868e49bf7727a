"""Parity with plain loops in float64, forward and gradient."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from openmoon.losses import info_nce, matryoshka, same_identity
from openmoon.losses.temperature import FLOOR, Temperature


def batch(n: int = 7, dim: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    queries, items = torch.randn(2, n, dim, dtype=torch.float64, generator=generator)
    return F.normalize(queries, dim=-1).requires_grad_(), F.normalize(items, dim=-1).requires_grad_()


def by_loops(queries: Tensor, items: Tensor, temperature: Tensor, ignore: Tensor | None) -> Tensor:
    total = queries.new_zeros(())
    for i in range(len(queries)):
        denominator = queries.new_zeros(())
        for j in range(len(items)):
            if i == j or ignore is None or not ignore[i, j]:
                denominator = denominator + torch.exp(queries[i] @ items[j] / temperature)
        total = total - torch.log(torch.exp(queries[i] @ items[i] / temperature) / denominator)
    return total / len(queries)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_parity_with_loops(masked: bool, symmetric: bool) -> None:
    ignore = same_identity(torch.tensor([0, 1, 0, 2, 3, 3, 4]), torch.tensor([0, 1, 2, 3, 4, 5, 1])) if masked else None
    results = []
    for loss in ("ours", "loops"):
        queries, items = batch()
        temperature = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        if loss == "ours":
            value = info_nce(queries, items, temperature, ignore, symmetric)
        else:
            value = by_loops(queries, items, temperature, ignore)
            if symmetric:
                value = (value + by_loops(items, queries, temperature, ignore)) / 2
        results.append([value, *torch.autograd.grad(value, [queries, items, temperature])])
    for ours, loops in zip(*results, strict=True):
        torch.testing.assert_close(ours, loops, atol=1e-12, rtol=1e-10)


def test_mask_is_identity_of_any_kind() -> None:
    products, queries = torch.tensor([0, 0, 1]), torch.tensor([5, 6, 6])
    expected = [[True, True, False], [True, True, True], [False, True, True]]
    assert same_identity(products, queries).tolist() == expected


def test_ignored_items_get_no_gradient() -> None:
    queries, items = batch(3)
    ignore = torch.zeros(3, 3, dtype=torch.bool)
    ignore[:, 2] = True  # item 2 is nobody's negative
    row = info_nce(queries, items, 0.1, ignore) * 3
    (gradient,) = torch.autograd.grad(row, items)
    only_own = torch.autograd.grad(-torch.log_softmax((queries @ items.T / 0.1)[2], 0)[2], items)[0][2]
    torch.testing.assert_close(gradient[2], only_own)


def test_matryoshka_is_the_mean_over_normalised_cuts() -> None:
    queries, items = batch()
    loss = partial(info_nce, temperature=0.1)
    expected = sum(loss(F.normalize(queries[:, :d], dim=1), F.normalize(items[:, :d], dim=1)) for d in (2, 6)) / 2
    torch.testing.assert_close(matryoshka(loss, queries, items, [2, 6]), expected)


def test_temperature_has_a_floor_and_learns() -> None:
    temperature = Temperature(0.05)
    assert temperature().item() == pytest.approx(0.05)
    queries, items = batch()
    info_nce(queries, items, temperature()).backward()
    assert temperature.log_value.grad is not None
    assert temperature.log_value.grad.abs() > 0
    assert Temperature(1e-5)().item() == pytest.approx(FLOOR)


def test_soft_targets_are_shares_of_plain_losses() -> None:
    """Row i wants item i by `share[i]`, item `partner[i]` by the rest; the mask spares both."""
    partner, share = [2, 1, 0, 4, 3], [0.3, 1.0, 0.6, 0.9, 0.5]
    ignore = same_identity(torch.tensor([0, 1, 0, 2, 2]))
    results = []
    for ours in (True, False):
        queries, items = batch(5)
        if ours:
            targets = torch.diag(torch.tensor(share, dtype=torch.float64))
            for i, j in enumerate(partner):
                targets[i, j] += 1 - share[i]
            value = info_nce(queries, items, 0.1, ignore, targets=targets)
        else:
            value = queries.new_zeros(())
            for i, j in enumerate(partner):
                seen = [k for k in range(5) if k in (i, j) or not ignore[i, k]]
                total = sum(torch.exp(queries[i] @ items[k] / 0.1) for k in seen)
                for k, part in ((i, share[i]), (j, 1 - share[i])):
                    value = value - part * torch.log(torch.exp(queries[i] @ items[k] / 0.1) / total) / 5
        results.append([value, *torch.autograd.grad(value, [queries, items])])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-10)
    with pytest.raises(ValueError, match="no symmetric form"):
        info_nce(*batch(5), 0.1, symmetric=True, targets=torch.eye(5))
