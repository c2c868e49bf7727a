"""The five objectives against what they should add up to; what a pair lacks is left out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from openmoon.data.lists import Lists, Others
from openmoon.data.views import Parts, Views
from openmoon.losses import info_nce, matryoshka, same_identity
from openmoon.losses.dual_alignment import (
    AlignmentMatrix,
    objective_weights,
    sparsity,
    weight_balance,
)
from openmoon.models.experts import GATE
from openmoon.training.contrast import Contrast
from openmoon.training.dual_alignment import IDENTITIES, OBJECTIVES, Alignment, dual_alignment_objective
from openmoon.training.plan import Encoded, Plan
from openmoon.training.posttrain import PairTable
from openmoon.training.queue import ItemQueue
from tests.training.tables import pair_table, right_answers
from tests.training.test_objectives import DIM, N, column, items, pairs, tau, vectors

ROWS = np.array([1, 2, 5, 7, 11, 14, 18])
SPUS = np.arange(N) // 2


def plan_of(matrix: AlignmentMatrix | None = None, table: PairTable | None = None, **options: object) -> Plan:
    contrast = Contrast(tau, (4, 8), **options)  # type: ignore[arg-type]
    objective = dual_alignment_objective(contrast, table or pairs(), items(), SPUS, matrix, Alignment(within=1.0))
    return objective(ROWS, np.random.default_rng(0), 0.0)


def plan_of_pairs(table: PairTable, rows: np.ndarray) -> Plan:
    objective = dual_alignment_objective(Contrast(tau, (4, 8)), table, items(), SPUS, None, Alignment(within=1.0))
    return objective(rows, np.random.default_rng(0), 0.0)


def by_loop(queries: torch.Tensor, items: torch.Tensor, positive: Sequence[int], ignore: torch.Tensor) -> torch.Tensor:
    """The mean of −log softmax of each query's own item at τ = 0.1, over the lengths 4 and 8."""
    losses = []
    for dim in (4, 8):
        for query, own, masked in zip(queries[:, :dim], positive, ignore, strict=True):
            cosines = [F.cosine_similarity(query, item[:dim], dim=0) for item in items]
            others = [c for place, c in enumerate(cosines) if place == own or not masked[place]]
            losses.append((torch.stack(others) / 0.1).exp().sum().log() - cosines[own] / 0.1)
    return torch.stack(losses).mean()


def expected_losses(whole: Views, encoded: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """By hand: the queries of a kind among the products of all pairs as shown, save those of one SPU or look, and what is known
    to be right."""
    table = pairs()
    chosen = table.item[ROWS]
    codes = torch.tensor(np.stack([SPUS[chosen], whole.identity()]))
    right = right_answers(table, ROWS, chosen, SPUS)
    assert (right & ~same_identity(codes, codes)).any()
    words, photos = ([column[row] for row in ROWS] for column in (table.queries.texts["text"], table.queries.images))
    alike = torch.tensor([[any(a is not None and a == b for a, b in ((words[i], words[j]), (photos[i], photos[j])))
                           for j in range(len(ROWS))] for i in range(len(ROWS))])  # fmt: skip
    found = {}
    for place, (name, view) in enumerate(zip(OBJECTIVES, ("text", "image", "text+image"), strict=False)):
        have = [r for r, row in enumerate(ROWS) if table.queries.has(view, complete=True)[row]]
        assert 1 < len(have) < len(ROWS)
        ignore = same_identity(codes[:, have], codes) | (alike | right)[have]
        torch.testing.assert_close(vectors(table.queries.show([view] * len(have), ROWS[have])), encoded[1 + place].detach())
        found[name] = by_loop(encoded[1 + place], encoded[0], have, ignore)
    return found


def expected_within(plan: Plan, encoded: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """By hand: the picture of each product that has both among the texts of the others, and the other way round."""
    chosen = pairs().item[ROWS]
    pictures, texts = plan.views[-2:]
    both = [n for n, product in enumerate(chosen) if items().has("rich+image", complete=True)[product]]
    shown = [items().images[chosen[n]] for n in both]
    assert list(pictures.images) == shown
    names = list(zip(SPUS[chosen[both]], pictures.images, texts.texts, strict=True))
    alike = torch.tensor([[any(a == b for a, b in zip(one, other, strict=True)) for other in names] for one in names])
    alike.fill_diagonal_(False)
    assert alike.any()
    return {name: by_loop(*sides, range(len(both)), alike)
            for name, sides in zip(OBJECTIVES[3:], (encoded[-2:], encoded[:-3:-1]), strict=True)}  # fmt: skip


def test_what_another_query_of_the_same_words_chose_is_no_negative() -> None:
    """Two shoppers say the same, one shows a photo as well: under words alone they ask one question."""
    queries = Parts({"text": column("red boot", "red boot", "lamp")}, column("photo", None, None))
    table = pair_table(queries, np.array([1, 5, 9]), np.array([1, 2, 3]))
    plan = plan_of_pairs(table, np.arange(3))
    asked, products = (vectors(plan.views[k]) for k in (1, 0))
    losses = plan.loss([Encoded(vectors(views)) for views in plan.views]).losses
    ignore = torch.zeros(3, 3, dtype=torch.bool)
    ignore[0, 1] = ignore[1, 0] = True
    expected = matryoshka(partial(info_nce, temperature=0.1, ignore=ignore), [asked, products], [4, 8]).mean()
    torch.testing.assert_close(losses["text → product"], expected)


def test_each_objective_spares_what_the_log_answers_to_what_it_shows() -> None:
    """Under its words alone the first query knows the second product to be right, under its photo alone the third."""
    queries = Parts({"text": column("red boot", "lamp", "mug")}, column("photo", "other", "third"))
    nothing = Lists.empty(3)
    known = {"text": Lists.group(np.array([0]), np.array([5]), 3), "image": Lists.group(np.array([0]), np.array([9]), 3),
             "text+image": nothing}  # fmt: skip
    table = PairTable(queries, np.array([1, 5, 9]), np.arange(3), Others(nothing, np.full(3, -1)), known)
    plan = plan_of_pairs(table, np.arange(3))
    encoded = [vectors(views) for views in plan.views]
    losses = plan.loss([Encoded(one) for one in encoded]).losses
    for place, (name, spared) in enumerate((("text → product", 1), ("image → product", 2), ("text+image → product", None))):
        ignore = torch.zeros(3, 3, dtype=torch.bool)
        if spared is not None:
            ignore[0, spared] = True
        expected = matryoshka(partial(info_nce, temperature=0.1, ignore=ignore), [encoded[1 + place], encoded[0]], [4, 8])
        torch.testing.assert_close(losses[name], expected.mean())


def test_queries_of_every_kind_meet_products() -> None:
    plan = plan_of()
    encoded = [vectors(views).requires_grad_() for views in plan.views]
    losses = plan.loss([Encoded(one) for one in encoded]).losses
    assert set(losses) == set(OBJECTIVES)
    for place, (name, expected) in enumerate(expected_losses(plan.views[0], encoded).items()):
        torch.testing.assert_close(losses[name], expected)
        sides = [encoded[1 + place], encoded[0]]
        for mine, theirs in zip(torch.autograd.grad(losses[name], sides, retain_graph=True),
                                torch.autograd.grad(expected, sides, retain_graph=True), strict=True):  # fmt: skip
            torch.testing.assert_close(mine, theirs)
    for name, expected in expected_within(plan, encoded).items():
        torch.testing.assert_close(losses[name], expected)
        for mine, theirs in zip(torch.autograd.grad(losses[name], encoded[-2:], retain_graph=True),
                                torch.autograd.grad(expected, encoded[-2:], retain_graph=True), strict=True):  # fmt: skip
            torch.testing.assert_close(mine, theirs)


def test_photos_without_words_meet_less_of_a_product_in_half_of_the_pairs() -> None:
    rows = np.tile(np.array([1, 2, 3, 5, 15]), 200)
    plan = dual_alignment_objective(Contrast(tau, (8,)), pairs(), items(), SPUS, None, Alignment())(
        rows, np.random.default_rng(0), 0.0
    )  # fmt: skip
    products, shown = pairs().item[rows], plan.views[0]
    whole = items().show(["rich+image"] * len(rows), products)
    less = items().has("rich+image", complete=True)[products] & ~pairs().queries.has("text")[rows]
    assert 0 < less.sum() < len(rows)
    assert shown.images == whole.images
    assert [t for t, row in zip(shown.texts, less, strict=True) if not row] == [
        t for t, row in zip(whole.texts, less, strict=True) if not row
    ]
    texts = np.array(shown.texts, dtype=object)[less]
    rich, title = items().texts["rich"][products[less]], items().texts["title"][products[less]]
    titled = title != None  # noqa: E711 (elementwise)
    shares = [(texts == rich).mean(), (texts[titled] == title[titled]).mean(), (texts[titled] == None).mean()]  # noqa: E711
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], atol=0.06)
    all_whole = dual_alignment_objective(Contrast(tau, (8,)), pairs(), items(), SPUS, None, Alignment(less=0))(
        rows, np.random.default_rng(0), 0.0
    )  # fmt: skip
    assert all_whole.views[0].texts == whole.texts


def test_a_products_own_picture_and_text_count_less() -> None:
    def losses(within: float) -> dict[str, torch.Tensor]:
        objective = dual_alignment_objective(Contrast(tau, (8,)), pairs(), items(), SPUS, None, Alignment(within=within))
        plan = objective(ROWS, np.random.default_rng(0), 0.0)
        return plan.loss([Encoded(vectors(views)) for views in plan.views]).losses

    full, less = losses(1.0), losses(0.25)
    for objective, name in enumerate(OBJECTIVES):
        torch.testing.assert_close(less[name], full[name] * (0.25 if objective >= 3 else 1.0))


def test_pictures_meet_texts_of_their_own_product() -> None:
    plan = plan_of()
    pictures, texts = plan.views[-2:]
    assert pictures.texts == [None] * len(pictures)
    assert texts.images == [None] * len(texts)
    assert None not in pictures.images
    assert None not in texts.texts
    own = {key: (title, rich) for key, title, rich in zip(items().images, *items().texts.values(), strict=True)}
    assert all(text in own[key] for key, text in zip(pictures.images, texts.texts, strict=True))


def test_an_objective_whose_modality_is_absent_is_left_out() -> None:
    words = pair_table(Parts({"text": column(*["q"] * 20)}, column(*[None] * 20)), pairs().item, pairs().query)
    plan = plan_of(table=words)
    assert all(None not in views.images or set(views.images) == {None} for views in plan.views[1:])
    losses = plan.loss([Encoded(vectors(views)) for views in plan.views]).losses
    assert set(losses) == {OBJECTIVES[0], *OBJECTIVES[3:]}


def test_routing_decides_the_weights_and_no_gradient_lowers_them() -> None:
    torch.manual_seed(0)
    matrix = AlignmentMatrix(3, len(OBJECTIVES)).double()
    with torch.no_grad():
        matrix.weight.normal_(std=1 / matrix.sharpness)
    plan = plan_of(matrix)
    generator = torch.Generator().manual_seed(1)
    routing = [torch.rand(len(v), 3, 2, 3, generator=generator, dtype=torch.float64).softmax(-1) for v in plan.views]
    output = plan.loss([Encoded(vectors(v), r) for v, r in zip(plan.views, routing, strict=True)])
    plain = plan_of().loss([Encoded(vectors(v)) for v in plan.views]).losses
    sides = [(1, 0), (2, 0), (3, 0), (4, 5), (5, 4)]
    usage = torch.stack([(routing[a][:, GATE].mean((0, 1)) + routing[b][:, GATE].mean((0, 1))) / 2 for a, b in sides])
    weights = objective_weights(usage, matrix())
    for place, name in enumerate(OBJECTIVES):
        torch.testing.assert_close(output.losses[name], weights[place] * plain[name])
        assert not output.losses[name].requires_grad
        assert output.figures[f"weight, {name}"] == pytest.approx(weights[place].item())
    torch.testing.assert_close(output.losses["weight balance"], 0.1 * weight_balance(weights, weights > 0))
    torch.testing.assert_close(output.losses["sparsity"], 0.01 * sparsity(matrix()))


def test_the_queue_serves_queries_alone() -> None:
    queue = ItemQueue(9, DIM, IDENTITIES)
    first, second = (plan_of(queue=queue) for _ in range(2))
    encoded = [Encoded(vectors(views)) for views in first.views]
    before, after = first.loss(encoded).losses, second.loss(encoded).losses
    assert queue.filled == 9
    for name in OBJECTIVES[3:]:
        torch.testing.assert_close(before[name], after[name])
    assert any(after[name] > before[name] for name in OBJECTIVES[:3])
