"""The objectives of both stages against what they should add up to."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from openmoon.config import MOON_MIX
from openmoon.data.blend import Blend
from openmoon.data.lists import Lists, Others
from openmoon.data.views import Parts, Views
from openmoon.io import hash_number
from openmoon.losses import in_blocks, info_nce, matryoshka, same_identity
from openmoon.losses.dual_alignment import load_balance
from openmoon.models.experts import LOAD, PROBABILITY
from openmoon.training import self_supervision
from openmoon.training.balance import with_balanced_experts
from openmoon.training.contrast import Contrast
from openmoon.training.dual_alignment import Alignment, dual_alignment_objective
from openmoon.training.filtering import SampleFilter
from openmoon.training.plan import Encoded, Plan
from openmoon.training.posttrain import IDENTITIES, Mix, PairTable, posttraining_objective
from openmoon.training.pretrain import pretraining_objective
from openmoon.training.queue import ItemQueue
from openmoon.training.self_supervision import with_self_supervision
from tests.training.tables import pair_table, right_answers

N, DIM = 12, 8


def column(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def vectors(views: Views) -> Tensor:
    """A unit vector per distinct input."""
    drawn = [np.random.default_rng(hash_number(repr(shown))).normal(size=DIM)
             for shown in zip(views.texts, views.images, strict=True)]  # fmt: skip
    return F.normalize(torch.from_numpy(np.stack(drawn)), dim=1)


def loss_of(plan: Plan) -> dict[str, Tensor]:
    return plan.loss([Encoded(vectors(views)) for views in plan.views]).losses


def items() -> Parts:
    names = [f"item {n}" for n in range(N)]
    return Parts({"title": column(*names[:6], *[None] * 6), "rich": column(*[f"rich {n}" for n in names[:9]], *[None] * 3)},
                 column(*[f"key {n}" if n % 4 else None for n in range(N)]))  # fmt: skip


def tau() -> Tensor:
    return torch.tensor(0.1, dtype=torch.float64)


def pairs() -> PairTable:
    text = column(*[f"query {n % 5}" if n % 3 else None for n in range(20)])
    image = column(*[f"photo {n}" if n % 3 != 1 else None for n in range(20)])
    return pair_table(Parts({"text": text}, image), np.arange(20) % N, np.arange(20) % 5)


def mix() -> Mix:
    return Mix([m.query for m in MOON_MIX], [m.item for m in MOON_MIX], [m.share for m in MOON_MIX])


def test_views_show_what_is_there() -> None:
    views = items().show(["title", "rich+image", "image", "title+image"], np.array([1, 2, 3, 8]))
    assert views.texts == ["item 1", "rich item 2", None, None]
    assert views.images == [None, "key 2", "key 3", None]
    assert items().has("title+image").tolist() == [True] * 8 + [False, True, True, True]
    assert items().has("title+image", complete=True).tolist() == [n < 6 and n % 4 != 0 for n in range(N)]


def test_mix_probabilities_follow_shares_and_what_a_pair_has() -> None:
    chances = mix().probabilities(pairs(), items())
    np.testing.assert_allclose(chances.sum(1), 1)
    queries = np.array([m.query for m in MOON_MIX])
    for row, (text, image) in enumerate(zip(pairs().queries.texts["text"], pairs().queries.images, strict=True)):
        allowed = {q for q, ok in (("text", text), ("image", image), ("text+image", text and image),
                                        ("rich+image", pairs().others.filled[row])) if ok}  # fmt: skip
        assert set(queries[chances[row] > 0]) <= allowed
    full = next(
        r
        for r in range(20)
        if all((pairs().queries.texts["text"][r], pairs().queries.images[r])) and 0 < r % N < 6 and r % N % 4
    )
    shares = np.array([m.share for m in MOON_MIX])
    np.testing.assert_allclose(chances[full], shares / shares.sum())


def test_posttraining_loss_is_info_nce_of_the_shown_views() -> None:
    spus = np.arange(N) // 2
    even = Mix(mix().query, mix().item, [1.0] * len(MOON_MIX))
    objective = posttraining_objective(Contrast(tau, (4, 8)), pairs(), items(), spus, even)
    rows = np.array([1, 2, 5, 7, 8, 11, 14, 17])
    plan = objective(rows, np.random.default_rng(0), 0.0)
    asked_queries, asked_items = plan.views
    asked = [list(zip(views.texts, views.images, strict=True)) for views in (asked_queries, asked_items)]
    shown = [[views.index(row) for row in views] for views in asked]
    codes = torch.tensor(np.stack([spus[rows % N], *shown]))
    right = right_answers(pairs(), rows, rows % N, spus)
    assert (right & torch.from_numpy(rows[:, None] % 5 != rows % 5)).any(), "answers that are in the batch for another query"
    # a query that is a product finds neither that product nor its SPU among the negatives
    titles = list(items().texts["rich"])
    standing = [spus[titles.index(text)] if text and text.startswith("rich") else -1 for text in asked_queries.texts]
    ignore = same_identity(codes, codes) | right | (torch.tensor(standing)[:, None] == torch.tensor(spus[rows % N]))
    expected = matryoshka(
        lambda q, p: info_nce(q, p, 0.1, ignore=ignore), [vectors(views) for views in plan.views], [4, 8]
    )
    torch.testing.assert_close(loss_of(plan)["info_nce"], expected.mean())
    assert any(spu >= 0 for spu in standing)
    for row, spu, text, image in zip(rows, standing, asked_queries.texts, asked_queries.images, strict=True):
        assert text or image
        if spu < 0:
            assert text in (None, pairs().queries.texts["text"][row])
            assert image in (None, pairs().queries.images[row])
        else:
            others = pairs().item[(pairs().query == pairs().query[row]) & (pairs().item != pairs().item[row])]
            assert text in set(items().texts["rich"][others])


def test_a_query_spares_what_the_log_answers_to_the_view_it_is_shown_under() -> None:
    """Of six pairs each knows the next one's item to be right for its words, the one after that for its photo, and the one after
    that for both, or for a product that asks in their place."""
    n, spus = 6, np.arange(N)
    queries = Parts({"text": column(*"abcdef")}, column(*"pqrstu"))
    item, at = np.array([0, 1, 2, 3, 5, 6]), np.arange(n)
    known = {view: Lists.group(at, item[(at + steps) % n], n) for steps, view in enumerate(("text", "image", "text+image"), 1)}
    table = PairTable(queries, item, at, Others(Lists.group(at, np.full(n, 7), n), np.full(n, -1)), known)
    mix = Mix(["text", "image", "text+image", "rich+image"], ["rich"] * 4, [1.0] * 4)
    plan = posttraining_objective(Contrast(tau, (8,)), table, items(), spus, mix)(at, np.random.default_rng(4), 0.0)
    asked = list(zip(plan.views[0].texts, plan.views[0].images, strict=True))
    assert {(text is not None, image is not None, text == "rich item 7") for text, image in asked} == {
        (True, False, False), (False, True, False), (True, True, False), (True, True, True)}  # fmt: skip
    ignore = torch.tensor([[one == other for other in asked] for one in asked])
    for row, (text, image) in enumerate(asked):
        ignore[row, (row + (1 if image is None else 2 if text is None else 3)) % n] = True
    expected = info_nce(*(vectors(views) for views in plan.views), 0.1, ignore=ignore).mean()
    torch.testing.assert_close(loss_of(plan)["info_nce"], expected)


def test_a_batch_goes_into_the_queue_after_it_is_compared() -> None:
    queue, rows = ItemQueue(30, DIM, IDENTITIES), np.arange(12)
    contrast = Contrast(tau, (DIM,), queue=queue)
    objective = posttraining_objective(contrast, pairs(), items(), np.arange(N), mix())
    first, second = (objective(rows, np.random.default_rng(0), 0.0) for _ in range(2))
    alone = loss_of(first)["info_nce"]
    assert queue.filled == len(rows)
    assert queue.products[: len(rows)].tolist() == pairs().item[rows].tolist()
    assert loss_of(second)["info_nce"] > alone


def test_a_product_that_asks_is_no_negative() -> None:
    n = 4
    queries = Parts({"text": column(*[f"item {k}" for k in range(n)])}, column(*[None] * n))
    table = replace(pair_table(queries, np.array([1, 2, 3, 5]), np.arange(n)), asker=np.array([2, 0, 0, 0]))
    spus = np.arange(N)
    plan = posttraining_objective(Contrast(tau, (8,)), table, items(), spus, Mix(["text"], ["title+image"], [1.0]))(
        np.arange(n), np.random.default_rng(0), 0.0
    )  # fmt: skip
    ignore = torch.zeros(n, n, dtype=torch.bool)
    ignore[0, 1] = True  # query 0 was made of product 2, which is the item of pair 1
    expected = info_nce(*(vectors(views) for views in plan.views), 0.1, ignore=ignore).mean()
    torch.testing.assert_close(loss_of(plan)["info_nce"], expected)


def test_blended_queries_find_the_items_of_both_pictures() -> None:
    n = 12
    photos = pair_table(Parts({"text": column(*[None] * n)}, column(*[f"photo {k}" for k in range(n)])),
                       np.arange(n), np.arange(n))  # fmt: skip
    only = Mix(["image"], ["rich+image"], [1.0])
    spus = np.arange(N) // 2
    objective = posttraining_objective(Contrast(tau, (4, 8)), photos, items(), spus, only, blend=0.7)
    rows = np.array([0, 3, 4, 5, 7, 8, 9])
    plan = objective(rows, np.random.default_rng(1), 0.0)
    row_of = {f"photo {k}": i for i, k in enumerate(rows)}
    same = torch.from_numpy(spus[rows][:, None] == spus[rows][None])
    second, share, ignore = torch.arange(len(rows)), torch.ones(len(rows), dtype=torch.float64), same.clone()
    for i, image in enumerate(plan.views[0].images):
        if isinstance(image, Blend):
            assert row_of[image.first] == i
            second[i], share[i] = row_of[image.second], image.share
            ignore[i] |= same[row_of[image.second]]
    assert 0 < (share < 1).sum() < len(rows)
    expected = matryoshka(
        lambda q, p: info_nce(q, p, 0.1, ignore=ignore, second=second, share=share),
        [vectors(views) for views in plan.views], [4, 8],
    )  # fmt: skip
    torch.testing.assert_close(loss_of(plan)["info_nce"], expected.mean())


def test_drawn_views_follow_the_shares() -> None:
    n = 600
    one = pair_table(Parts({"text": column(*["q"] * n)}, column(*["p"] * n)), np.ones(n, int), np.arange(n))
    objective = posttraining_objective(Contrast(tau, (8,)), one, items(), np.arange(N), mix())
    asked, _ = objective(np.arange(n), np.random.default_rng(0), 0.0).views
    both = np.mean([t is not None and i is not None for t, i in zip(asked.texts, asked.images, strict=True)])
    assert both == pytest.approx(0.5 / 2.5, abs=0.05)


def test_pairs_that_fit_no_view_are_a_programming_error() -> None:
    only_text = Mix(["text"], ["rich"], [1.0])
    with pytest.raises(ValueError, match="fit no combination"):
        posttraining_objective(Contrast(tau, (8,)), pairs(), items(), np.arange(N), only_text)


def test_pretraining_uses_only_what_products_have() -> None:
    rows = np.flatnonzero(items().has("image"))
    objective = pretraining_objective(tau, items(), np.arange(N), rows, [8], 1.0, 0.5)
    plan = objective(np.arange(len(rows)), np.random.default_rng(0), 0.0)
    pictures, texts, again = plan.views
    assert pictures.texts == [None] * len(rows)
    assert None not in pictures.images
    assert again.images == pictures.images
    assert {text is None for text in again.texts} == {True, False}
    assert len(texts) == sum(r < 9 for r in rows)
    assert set(texts.images) == {None}
    assert set(loss_of(plan)) == {"image_text", "product_text", "self_supervision"}
    without = pretraining_objective(tau, items(), np.arange(N), rows, [8], 1.0, 0.5, with_text=0.0)
    assert set(without(np.arange(len(rows)), np.random.default_rng(0), 0.0).views[-1].texts) == {None}


def test_a_batch_with_nothing_to_tell_apart_teaches_nothing() -> None:
    """Of two pictures one has no text, and views are not taught."""
    rows = np.array([1, 9])
    plan = pretraining_objective(tau, items(), np.arange(N), rows, [8], 1.0, 0.0)(np.arange(2), np.random.default_rng(0), 0.0)
    shown = [vectors(views).requires_grad_() for views in plan.views]
    loss = torch.stack(list(plan.loss([Encoded(one) for one in shown]).losses.values())).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert (loss.item(), shown[0].grad.abs().sum().item()) == (0, 0)  # type: ignore[union-attr]


def test_pretraining_losses_are_info_nce_save_of_equal_products() -> None:
    """By a loop: no negatives are products of one SPU, of one picture and, beside texts, of one text."""
    texts = {"title": column(*[None] * 6), "rich": column("a", "b", "a", "c", "d", "e")}
    shown = Parts(texts, column("p", "q", "r", "q", "s", "t"))
    spus = np.array([0, 1, 2, 3, 4, 4])
    plan = pretraining_objective(tau, shown, spus, np.arange(6), [4, 8], 2.0, 3.0, with_text=1.0)(
        np.arange(6), np.random.default_rng(1), 0.0
    )  # fmt: skip
    told = [i for i, text in enumerate(plan.views[-1].texts) if text is not None]
    assert 1 < len(told) < 6, "there are no titles, and richer texts in half of the views"
    first, text, second = (vectors(views).requires_grad_() for views in plan.views)
    losses = plan.loss([Encoded(one) for one in (first, text, second)]).losses

    def info(queries: Tensor, found: Tensor, same: set[tuple[int, int]], rows: list[int]) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for d in (4, 8):
            a, b = F.normalize(queries[:, :d], dim=1), F.normalize(found[:, :d], dim=1)
            for i in rows:
                seen = [j for j in rows if i == j or (i, j) not in same]
                total = total - (a[i] @ b[i] / 0.1 - torch.stack([a[i] @ b[j] / 0.1 for j in seen]).logsumexp(0))
        return total / (2 * len(rows))

    both = {(1, 3), (3, 1), (4, 5), (5, 4)}
    named = both | {(0, 2), (2, 0)}
    everyone = list(range(6))
    expected = {
        "image_text": info(first, text, named, everyone) + info(text, first, named, everyone),
        "product_text": info(second, text, named, told) + info(text, second, named, told),
        "self_supervision": 3 * info(first, second, both, everyone),
    }
    assert set(losses) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value)
        for mine, theirs in zip(
            torch.autograd.grad(losses[name], [first, text, second], allow_unused=True, retain_graph=True),
            torch.autograd.grad(value, [first, text, second], allow_unused=True, retain_graph=True), strict=True,
        ):  # fmt: skip
            assert (mine is None) == (theirs is None)
            if mine is not None:
                torch.testing.assert_close(mine, theirs)


def test_views_of_the_chosen_pictures_find_each_other_beside_the_pairs() -> None:
    spus, rows = np.arange(N) // 2, np.array([1, 2, 5, 7, 8, 11, 14, 17])
    alone = posttraining_objective(Contrast(tau, (4, 8)), pairs(), items(), spus, mix())
    plain = alone(rows, np.random.default_rng(0), 0.0)
    both = with_self_supervision(alone, tau, pairs().item, items(), spus, (4, 8), 0.3)
    plan = both(rows, np.random.default_rng(0), 0.0)
    products = [p for p in sorted(set(rows % N)) if items().images[p] is not None]
    assert [views.images for views in plan.views[-2:]] == [[items().images[p] for p in products]] * 2
    drawn = torch.randn(2, len(products), DIM, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    first, second = F.normalize(drawn, dim=-1)
    encoded = [Encoded(vectors(views)) for views in plain.views]
    found = plan.loss([*encoded, Encoded(first), Encoded(second)]).losses
    torch.testing.assert_close(found["info_nce"], plain.loss(encoded).losses["info_nce"])
    same = torch.tensor([[spus[a] == spus[b] for b in products] for a in products])
    compare = partial(info_nce, temperature=0.1, ignore=same)
    torch.testing.assert_close(found["self_supervision"], 0.3 * matryoshka(compare, [first, second], [4, 8]).mean())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(self_supervision, "in_blocks", partial(in_blocks, cells=2 * len(products)))
        divided = plan.loss([*encoded, Encoded(first), Encoded(second)]).losses
    torch.testing.assert_close(divided["self_supervision"], found["self_supervision"])
    words = Parts({"rich": items().texts["rich"]}, column(*[None] * N))
    pictureless = with_self_supervision(alone, tau, pairs().item, words, spus, (8,), 0.3)
    assert len(pictureless(rows, np.random.default_rng(0), 0.0).views) == 2


def test_experts_are_used_alike_under_the_mix_too() -> None:
    rows = np.array([1, 2, 5, 7, 8])
    alone = posttraining_objective(Contrast(tau, (8,)), pairs(), items(), np.arange(N), mix())
    beside = with_self_supervision(alone, tau, pairs().item, items(), np.arange(N), (8,), 0.3)
    plan = with_balanced_experts(beside, 0.5)(rows, np.random.default_rng(0), 0.0)
    routing = [torch.rand(len(views), 3, 1, 3, generator=torch.Generator().manual_seed(s), dtype=torch.float64)
               for s, views in enumerate(plan.views)]  # fmt: skip
    assert len(routing) == 4, "also the views that are compared beside the pairs"
    losses = plan.loss([Encoded(vectors(v), r) for v, r in zip(plan.views, routing, strict=True)]).losses
    every = torch.cat(routing)
    torch.testing.assert_close(losses["load balance"], 0.5 * load_balance(every[:, PROBABILITY], every[:, LOAD]))
    assert set(losses) == {"info_nce", "self_supervision", "load balance"}


def test_pairs_count_by_their_weights() -> None:
    table = pairs()
    rows = np.array([1, 2, 5, 7, 11, 14])
    weight = np.linspace(0.1, 3, len(table))
    plans = [
        posttraining_objective(Contrast(tau, (8,)), one, items(), np.arange(N), mix())(rows, np.random.default_rng(0), 0.0)
        for one in (table, replace(table, weight=weight))
    ]
    encoded = [Encoded(vectors(views)) for views in plans[0].views]
    codes = torch.from_numpy(table.item[rows])[None]
    ignore = same_identity(codes, codes) | right_answers(table, rows, table.item[rows], np.arange(N))
    each = info_nce(encoded[0].vectors, encoded[1].vectors, 0.1, ignore=ignore)
    plain, weighed = (plan.loss(encoded).losses["info_nce"] for plan in plans)
    torch.testing.assert_close(plain, each.mean())
    torch.testing.assert_close(weighed, (each * torch.from_numpy(weight[rows])).mean())


@pytest.mark.parametrize("dual", [False, True])
def test_the_filters_threshold_falls_as_the_training_goes_on(dual: bool) -> None:
    contrast = Contrast(tau, (8,), filter=SampleFilter(start=2.0))
    words = Parts({"text": column(*[f"q {n}" for n in range(4)])}, column(*[None] * 4))
    table, spus = pair_table(words, np.array([1, 2, 5, 6]), np.arange(4)), np.arange(N) // 2
    losses = []
    for progress in (0.0, 0.5, 1.0):
        if dual:
            objective = dual_alignment_objective(contrast, table, items(), spus, None, Alignment(less=0))
        else:
            objective = posttraining_objective(contrast, table, items(), spus, Mix(["text"], ["rich"], [1.0]))
        plan = objective(np.arange(4), np.random.default_rng(0), progress)
        losses.append(float(loss_of(plan)["text → product" if dual else "info_nce"]))
    assert losses[0] < 0.8 * losses[1] < 0.64 * losses[2]


def test_the_monitor_looks_at_inputs_that_differ() -> None:
    """A batch of which most ask for one product: a bestseller is no collapse."""
    rows = np.array([1, 2, 13, 14, 3, 1, 13])  # of the products 1, 2, 1, 2, 3, 1, 1
    whole = Mix(["text", "image"], ["rich+image", "rich+image"], [1.0, 1.0])
    spus = np.arange(N)
    products = np.array([1, 2, 3])
    shown = {
        "mix": (posttraining_objective(Contrast(tau, (8,)), pairs(), items(), spus, whole), rows, "rich+image"),
        "stage 1": (pretraining_objective(tau, items(), spus, np.arange(N), [8], 1.0, 1.0), rows % N, "image"),
        "dual": (dual_alignment_objective(Contrast(tau, (8,)), pairs(), items(), spus, None, Alignment(less=0)), rows,
                 "rich+image"),
    }  # fmt: skip
    for name, (objective, batch, view) in shown.items():
        plan = objective(batch, np.random.default_rng(0), 0.0)
        looked_at = plan.loss([Encoded(vectors(views)) for views in plan.views]).vectors
        torch.testing.assert_close(looked_at, vectors(items().show([view] * 3, products)), msg=name)
