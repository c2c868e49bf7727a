"""Circle, sigmoid and triplet losses, blocks and masks against plain loops in float64, forward and gradient."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from openmoon.losses import circle, in_blocks, info_nce, log_frequency, same_identity, sigmoid, too_similar, triplet
from openmoon.losses.positives import own_columns
from tests.losses.plain import assert_parity, batch, identities

MASKS = [None, F.pad(identities(), (0, 3))]


@pytest.mark.parametrize("ignore", MASKS)
def test_circle(ignore: Tensor | None) -> None:
    gamma, m = 8.0, 0.25

    def plain(queries: Tensor, items: Tensor) -> Tensor:
        losses = []
        for i in range(len(queries)):
            score = queries[i] @ items[i]
            positive = torch.exp(-gamma * torch.relu(1 + m - score).detach() * (score - (1 - m)))
            negatives = queries.new_zeros(())
            for j in range(len(items)):
                if j != i and (ignore is None or not ignore[i, j]):
                    score = queries[i] @ items[j]
                    negatives = negatives + torch.exp(gamma * torch.relu(score + m).detach() * (score - m))
            losses.append(torch.log(1 + negatives * positive))
        return torch.stack(losses)

    assert_parity(lambda q, p: circle(q, p, gamma=gamma, margin=m, ignore=ignore), plain, *batch(items=10))


@pytest.mark.parametrize("ignore", MASKS)
def test_sigmoid(ignore: Tensor | None) -> None:
    def plain(queries: Tensor, items: Tensor, tau: Tensor) -> Tensor:
        losses = []
        for i in range(len(queries)):
            loss = queries.new_zeros(())
            for j in range(len(items)):
                logit = queries[i] @ items[j] / tau - math.log(len(items) - 1)
                if j == i or ignore is None or not ignore[i, j]:
                    loss = loss - torch.log(torch.sigmoid(logit if i == j else -logit))
            losses.append(loss)
        return torch.stack(losses)

    tau = torch.tensor(0.3, dtype=torch.float64)
    assert_parity(lambda q, p, t: sigmoid(q, p, t, ignore=ignore), plain, *batch(items=10), tau)


def test_triplet() -> None:
    def plain(queries: Tensor, bought: Tensor, left: Tensor) -> Tensor:
        rows = zip(queries, bought, left, strict=True)
        return torch.stack([torch.relu(0.3 - q @ p + q @ n) for q, p, n in rows])

    queries, items = batch(7, items=14)
    assert_parity(lambda q, p, n: triplet(q, p, n, 0.3), plain, queries, *items.detach().split(7))


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_blocks_change_nothing(block: int) -> None:
    ignore = identities()

    def blocked(queries: Tensor, items: Tensor) -> Tensor:
        return in_blocks(
            lambda rows: info_nce(queries[rows], items, 0.1, positive=rows, ignore=ignore[rows]),
            len(queries), len(items), queries.device, cells=7 * block,
        )  # fmt: skip

    assert_parity(blocked, lambda q, p: info_nce(q, p, 0.1, ignore=ignore), *batch())


def test_a_batch_without_negatives_has_a_finite_loss_and_gradient() -> None:
    queries, items = batch(2)
    ignore = torch.ones(2, 2, dtype=torch.bool)
    for loss in (circle(queries, items, ignore=ignore), sigmoid(queries, items, 0.1, ignore=ignore)):
        assert torch.isfinite(loss).all()
        assert all(torch.isfinite(g).all() for g in torch.autograd.grad(loss.sum(), [queries, items]))


def test_mask_is_identity_of_any_kind() -> None:
    codes = torch.tensor([[0, 0, 1], [5, 6, 6]])
    assert same_identity(codes, codes).tolist() == [[True, True, False], [True, True, True], [False, True, True]]
    assert same_identity(codes[:, :1], codes).tolist() == [[True, True, False]]


def test_negatives_far_above_the_own_item_are_masked() -> None:
    queries, items = batch(items=9)
    scores = queries @ items.T
    expected = [[bool(scores[i, j] > scores[i, i] + 0.1) for j in range(9)] for i in range(7)]
    found = too_similar(scores, own_columns(queries), 0.1)
    assert found.tolist() == expected
    assert 0 < found.sum() < found.numel()


def test_log_frequency_counts_pairs() -> None:
    found = log_frequency(torch.tensor([0, 0, 0, 2]), 4).exp()
    torch.testing.assert_close(found, torch.tensor([3, 0.5, 1, 0.5]) / 5)
