"""Both objectives with hard negatives and triplets, against what these should add up to."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from openmoon.data.lists import Lists
from openmoon.data.views import Parts
from openmoon.losses import info_nce, matryoshka, triplet
from openmoon.training.contrast import Contrast
from openmoon.training.dual_alignment import Alignment, dual_alignment_objective
from openmoon.training.negatives import LEFT, FromLog, HardNegatives, LeftBehind
from openmoon.training.plan import Encoded
from openmoon.training.posttrain import Mix, posttraining_objective
from tests.training.tables import pair_table
from tests.training.test_objectives import N, column, items, tau, vectors

SPUS = np.arange(N) // 2
CUTS = (4, 8)


def words(count: int) -> Parts:
    return Parts({"text": column(*[f"q {n}" for n in range(count)])}, column(*[None] * count))


def left_behind(products: np.ndarray) -> HardNegatives:
    """Beside each pair the product given for it, also in a triplet that counts twice."""
    of_each = Lists.group(np.arange(len(products)), products, len(products))
    return HardNegatives({LEFT: FromLog(of_each, 1)}, LeftBehind(0.5, 2.0, CUTS))


def test_the_mix_shows_them_under_the_view_of_the_item() -> None:
    chosen, beside = np.array([1, 2, 3, 5, 6, 7, 1, 2]), np.array([8, 3, 4, 8, 7, 8, 4, 3])
    table = pair_table(words(8), chosen, np.arange(8))
    mix = Mix(["text", "text"], ["rich", "image"], [1.0, 1.0])
    objective = posttraining_objective(Contrast(tau, CUTS), table, items(), SPUS, mix, hard=left_behind(beside))
    plan = objective(np.arange(8), np.random.default_rng(0), 0.0)
    kinds = ["rich" if text else "image" for text in plan.views[1].texts]
    kept = [n for n in range(8) if kinds[n] == "rich" or items().images[beside[n]] is not None]
    assert 0 < len(kept) < 8, "of some the item's view is missing"
    assert plan.views[2] == items().show([kinds[n] for n in kept], beside[kept])
    queries, answers, hard = (vectors(views) for views in plan.views)
    ignore = torch.from_numpy(SPUS[chosen][:, None] == SPUS[np.concatenate([chosen, beside[kept]])])
    assert ignore[:, 8:].any(), "some are of the SPU that was chosen"
    losses = plan.loss([Encoded(one) for one in (queries, answers, hard)]).losses
    each = matryoshka(partial(info_nce, temperature=0.1, ignore=ignore), [queries, torch.cat([answers, hard])], [*CUTS])
    torch.testing.assert_close(losses["info_nce"], each.mean())
    apart = matryoshka(partial(triplet, margin=0.5), [queries[kept], answers[kept], hard], [*CUTS])
    torch.testing.assert_close(losses["triplet"], 2 * apart.mean())


def test_the_triplets_of_one_kind_of_query_are_not_diluted_by_kinds_without() -> None:
    """Two pairs ask with words and two with a photo; only of the former something was left."""
    queries = Parts({"text": column("q", "r", None, None)}, column(None, None, "photo", "look"))
    chosen, beside = np.array([1, 2, 5, 6]), np.array([9, 3])
    of_each = Lists.group(np.arange(2), beside, 4)
    hard = HardNegatives({LEFT: FromLog(of_each, 1)}, LeftBehind(0.5, 2.0, CUTS))
    objective = dual_alignment_objective(Contrast(tau, CUTS), pair_table(queries, chosen, np.arange(4)), items(), SPUS, None,
                                         Alignment(), hard)  # fmt: skip
    plan = objective(np.arange(4), np.random.default_rng(0), 0.0)
    encoded = [vectors(views) for views in plan.views]
    losses = plan.loss([Encoded(one) for one in encoded]).losses
    assert {"text → product", "image → product"} < set(losses)
    apart = matryoshka(partial(triplet, margin=0.5), [encoded[1], encoded[0][:2], encoded[-1]], [*CUTS])
    torch.testing.assert_close(losses["triplet"], 2 * apart.mean())


def test_dual_alignment_shows_them_whole_and_weighs_pairs() -> None:
    chosen, beside, weight = np.array([1, 2, 5, 6]), np.array([9, 3, 10, 8]), np.array([0.5, 1, 2, 3])
    rows = np.array([3, 1, 0, 2])
    table = replace(pair_table(words(4), chosen, np.arange(4)), weight=weight)
    objective = dual_alignment_objective(Contrast(tau, CUTS), table, items(), SPUS, None, Alignment(), left_behind(beside))
    plan = objective(rows, np.random.default_rng(0), 0.0)
    encoded = [vectors(views) for views in plan.views]
    answers, queries, hard = encoded[0], encoded[1], encoded[-1]
    assert plan.views[-1] == items().show(["rich+image"] * 4, beside[rows])
    ignore = torch.from_numpy(SPUS[chosen[rows]][:, None] == SPUS[np.concatenate([chosen[rows], beside[rows]])])
    assert ignore[:, 4:].any()
    losses = plan.loss([Encoded(one) for one in encoded]).losses
    counts = torch.from_numpy(weight[rows])
    each = matryoshka(partial(info_nce, temperature=0.1, ignore=ignore), [queries, torch.cat([answers, hard])], [*CUTS])
    torch.testing.assert_close(losses["text → product"], (each * counts).mean())
    apart = matryoshka(partial(triplet, margin=0.5), [queries, answers, hard], [*CUTS])
    torch.testing.assert_close(losses["triplet"], 2 * (apart * counts).mean())
