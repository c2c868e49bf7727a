"""The queue against a plain list."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from openmoon.training.queue import ItemQueue


@given(size=st.integers(1, 9), batches=st.lists(st.integers(1, 12), max_size=6))
def test_the_last_items_stay(size: int, batches: list[int]) -> None:
    queue, plain, number = ItemQueue(size, 2, 1), [], 0
    for count in batches:
        numbers = torch.arange(number, number + count)
        queue.push(torch.stack([numbers, -numbers], 1).float(), numbers[None] * 10, numbers * 100)
        plain += numbers.tolist()
        number += count
    vectors, codes, products = queue.items(torch.empty(0, 2))
    kept = sorted(plain[-size:]) if plain else []
    assert sorted(vectors[:, 0].tolist()) == kept
    assert (vectors[:, 1] == -vectors[:, 0]).all()
    assert (codes[0] == vectors[:, 0] * 10).all()
    assert (products == vectors[:, 0] * 100).all()


def test_a_queue_is_saved_and_loaded() -> None:
    queue, again = ItemQueue(4, 3, 2), ItemQueue(4, 3, 2)
    queue.push(torch.randn(6, 3), torch.arange(12).view(2, 6), torch.arange(6))
    again.load_state_dict(queue.state_dict())
    for queue_ in (queue, again):
        queue_.push(torch.ones(1, 3), torch.zeros(2, 1, dtype=torch.int64), torch.tensor([9]))
    for found, expected in zip(again.items(torch.eye(3)), queue.items(torch.eye(3)), strict=True):
        torch.testing.assert_close(found, expected)


def test_what_is_held_does_not_change_under_the_loss() -> None:
    queue = ItemQueue(2, 1, 1)
    queue.push(torch.tensor([[1.0], [2.0]]), torch.zeros(1, 2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))
    held, _, _ = queue.items(torch.ones(1, 1))
    queue.push(torch.tensor([[3.0]]), torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    assert held.flatten().tolist() == [1.0, 2.0]


def test_old_items_are_given_the_moments_of_the_current_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    space = torch.nn.functional.normalize(torch.randn(400, 6, generator=generator) + torch.arange(6) / 3, dim=1).double()
    drifted = torch.nn.functional.normalize(1.7 * space[:200] + torch.tensor([0.0, 2, 0, -1, 0, 0]), dim=1)
    queue = ItemQueue(200, 6, 1).double()
    queue.push(drifted, torch.zeros(1, 200, dtype=torch.int64), torch.zeros(200, dtype=torch.int64))
    queue.moments = False
    torch.testing.assert_close(queue.items(space[200:])[0], drifted)
    queue.moments = True
    old, _, _ = queue.items(space[200:].requires_grad_(True))
    assert not old.requires_grad
    torch.testing.assert_close(old.norm(dim=1), torch.ones(200, dtype=torch.float64))
    shift = (drifted.mean(0) - space[200:].mean(0)).norm()
    assert (old.mean(0) - space[200:].mean(0)).norm() < shift / 10
    nearest = (old @ space[:200].T).argmax(1)
    assert (nearest == torch.arange(200)).float().mean() > 0.5  # each is still about where it was
