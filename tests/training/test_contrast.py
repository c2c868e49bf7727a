"""The contrast of a batch: queue, guards and cuts against the plain loss over all of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from openmoon.losses import circle, info_nce, log_frequency, matryoshka, sigmoid, too_similar
from openmoon.training.contrast import Batch, Contrast
from openmoon.training.filtering import SampleFilter
from openmoon.training.queue import ItemQueue

B, DIM = 6, 8


def unit(n: int, seed: int) -> Tensor:
    return F.normalize(torch.randn(n, DIM, generator=torch.Generator().manual_seed(seed)), dim=1)


def tau() -> Tensor:
    return torch.tensor(0.1)


def batch() -> Batch:
    return Batch(torch.tensor([[0, 1, 2, 3, 3, 4], [9, 9, 8, 7, 6, 5]]), torch.arange(B))


def queue() -> ItemQueue:
    held = ItemQueue(4, DIM, 2)
    held.push(unit(4, 5), torch.tensor([[0, 50, 51, 4], [60, 61, 62, 63]]), torch.tensor([10, 11, 12, 13]))
    return held


def ignored() -> Tensor:
    """By hand: rows 0 and 1 share a query, 3 and 4 an SPU; the queue holds the SPUs of rows 0 and 5."""
    mask = torch.eye(B, B + 4, dtype=torch.bool)
    for i, j in ((0, 1), (1, 0), (3, 4), (4, 3), (0, B), (5, B + 3)):
        mask[i, j] = True
    return mask


@pytest.mark.parametrize("name", ["info_nce", "circle", "sigmoid"])
def test_the_queue_adds_columns_and_identities_mask_them(name: str) -> None:
    queries, answers, held = unit(B, 1), unit(B, 2), queue()
    loss = {"info_nce": lambda q, p: info_nce(q, p, 0.1, ignore=ignored()[:, : len(p)]),
            "circle": lambda q, p: circle(q, p, gamma=8.0, margin=0.3, ignore=ignored()[:, : len(p)]),
            "sigmoid": lambda q, p: sigmoid(q, p, 0.1, ignore=ignored()[:, : len(p)])}[name]  # fmt: skip
    old, _, _ = held.items(answers)
    alone, wider = (matryoshka(loss, [queries, items], [4, 8]) for items in (answers, torch.cat([answers, old])))
    expected = (alone + wider) / 2
    found = Contrast(tau, (4, 8), name, queue=held, gamma=8.0, circle_margin=0.3)  # type: ignore[arg-type]
    torch.testing.assert_close(found(queries, answers, batch()).losses, expected)


def test_all_may_meet_at_once_and_equal_ones_too() -> None:
    """One loss over batch and queue, as MoCo has it, in value and gradient; and one that spares nothing but the own item."""
    queries, answers, held = unit(B, 1).double(), unit(B, 2).double().requires_grad_(), queue().double()
    held.moments = False
    for spares in (True, False):
        contrast = Contrast(tau, (8,), spare_inputs=spares, queue=held, queue_still=False)
        found = contrast(queries, answers, batch()).losses
        ignore = ignored() if spares else None
        loss = partial(info_nce, temperature=0.1, ignore=ignore)
        plain = matryoshka(loss, [queries, torch.cat([answers, held.vectors])], [8])
        torch.testing.assert_close(found, plain)
        for mine, theirs in zip(*(torch.autograd.grad(loss.sum(), answers) for loss in (found, plain)), strict=True):
            torch.testing.assert_close(mine, theirs)


def test_likely_false_negatives_are_masked() -> None:
    queries, answers = unit(B, 1), unit(B, 2)
    scores = queries @ answers.T
    ignore = ignored()[:, :B] | (scores > scores.diagonal()[:, None] + 0.2)
    assert (ignore & ~ignored()[:, :B]).any()
    expected = matryoshka(lambda q, p: info_nce(q, p, 0.1, ignore=ignore), [queries, answers], [4, 8])
    torch.testing.assert_close(Contrast(tau, (4, 8), margin=0.2)(queries, answers, batch()).losses, expected)


def test_popular_items_are_corrected_also_in_the_queue() -> None:
    queries, answers = unit(B, 1), unit(B, 2)
    log_q = log_frequency(torch.tensor([0, 0, 0, 1, 10, 10, 13]), 14)
    columns, held = log_q[[*range(B), 10, 11, 12, 13]], queue()
    everything = torch.cat([answers, held.items(answers)[0]])
    met = [info_nce(queries, everything[:count], 0.1, ignore=ignored()[:, :count], log_q=columns[:count]) for count in (B, B + 4)]
    found = Contrast(tau, (8,), log_q=log_q, queue=held)(queries, answers, batch())
    torch.testing.assert_close(found.losses, (met[0] + met[1]) / 2)


def test_what_a_blend_also_shows_never_speaks_against_it() -> None:
    """Though nothing else is spared, neither item of a blended query is one of the negatives that its pair is judged by; it is
    judged by the picture that it shows more of."""
    queries, answers = F.normalize(unit(B, 2) + unit(B, 2).roll(-1, 0), dim=1), unit(B, 2)
    second, share = torch.arange(B).roll(-1), torch.tensor([0.5, 0.9, 0.1] * B)[:B]
    blended = replace(batch(), second=second, share=share)
    judged = torch.where(share < 0.5, second, torch.arange(B))
    judge = SampleFilter(hardest=1)
    contrast = Contrast(tau, (8,), spare_inputs=False, filter=judge)
    ignore = torch.eye(B).bool() | torch.eye(B).bool().roll(1, 1)
    expected = judge.confidence(queries @ answers.T, judged, ignore, 0.0)
    found = contrast(queries, answers, blended).confidence
    assert found is not None
    torch.testing.assert_close(found, expected)
    ignore |= too_similar(queries @ answers.T, judged, 0.05)
    losses = Contrast(tau, (8,), spare_inputs=False, margin=0.05)(queries, answers, blended).losses
    torch.testing.assert_close(losses, info_nce(queries, answers, 0.1, ignore=ignore, second=second, share=share))


def test_only_what_was_compared_is_remembered() -> None:
    contrast = Contrast(tau, (8,), queue=ItemQueue(8, DIM, 2))
    contrast(unit(B, 1), unit(B, 2), batch())
    assert contrast.queue is not None
    assert contrast.queue.filled == 0
    contrast.remember(unit(B, 2), batch())
    assert contrast.queue.filled == B
    with_own = contrast(unit(B, 1), unit(B, 2), batch()).losses
    without = Contrast(tau, (8,))(unit(B, 1), unit(B, 2), batch()).losses
    assert (with_own > without).sum() >= B - 1, "other items count twice; the own one, held too, is no negative"


def test_within_a_product_nothing_is_filtered_corrected_or_queued() -> None:
    inside = Contrast(tau, (8,), filter=SampleFilter(), log_q=torch.arange(4.0), queue=queue()).within_products()
    assert inside.filter is None
    assert inside.log_q is None
    assert inside.queue is None


def test_a_filter_judges_with_the_queue_and_at_the_time() -> None:
    queries, answers, held = unit(B, 1), unit(B, 2), queue()
    judge = SampleFilter(start=1.0, hardest=2)
    found = Contrast(tau, (8,), queue=held, filter=judge)(queries, answers, batch(), 0.5)
    confidences, losses = [], []
    for items in (answers, torch.cat([answers, held.items(answers)[0]])):
        ignore = ignored()[:, : len(items)]
        confidences.append(judge.confidence(queries @ items.T, torch.arange(B), ignore, 0.5))
        losses.append(info_nce(queries, items, 0.1, ignore=ignore) * judge.weights(confidences[-1]))
    torch.testing.assert_close(found.losses, sum(losses) / 2)
    torch.testing.assert_close(found.confidence, confidences[-1])


def test_what_is_remembered_is_the_batch() -> None:
    held, answers = ItemQueue(B, DIM, 2, moments=False), unit(B, 2)
    Contrast(tau, (8,), queue=held).remember(answers, batch())
    vectors, codes, products = held.items(answers)
    torch.testing.assert_close(vectors, answers)
    torch.testing.assert_close(codes, batch().codes)
    torch.testing.assert_close(products, batch().products)
