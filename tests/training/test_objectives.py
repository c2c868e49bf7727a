"""The objectives of both stages against what they should add up to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from openmoon.config import MOON_MIX
from openmoon.data.blend import Blend
from openmoon.data.views import Parts, Views
from openmoon.losses import info_nce, matryoshka, same_identity
from openmoon.training.posttrain import Mix, PairTable, posttraining_objective
from openmoon.training.pretrain import pretraining_objective

N, DIM = 12, 8


def column(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


class Recorder:
    """Stands in for the featurizer: a vector per distinct view, and a note of what was asked."""

    def __init__(self) -> None:
        self.asked: list[Views] = []

    def __call__(self, views: Views, rng: np.random.Generator | None = None) -> Tensor:
        self.asked.append(views)
        vectors = [
            np.random.default_rng(abs(hash(pair)) % 2**32).normal(size=DIM)
            for pair in zip(views.texts, views.images, strict=True)
        ]
        return F.normalize(torch.from_numpy(np.stack(vectors)), dim=1)


def items() -> Parts:
    names = [f"item {n}" for n in range(N)]
    return Parts({"title": column(*names[:6], *[None] * 6), "rich": column(*[f"rich {n}" for n in names[:9]], *[None] * 3)},
                 column(*[f"key {n}" if n % 4 else None for n in range(N)]))  # fmt: skip


def tau() -> Tensor:
    return torch.tensor(0.1, dtype=torch.float64)


def pairs() -> PairTable:
    text = column(*[f"query {n % 5}" if n % 3 else None for n in range(20)])
    image = column(*[f"photo {n}" if n % 3 != 1 else None for n in range(20)])
    return PairTable(Parts({"text": text}, image), np.arange(20) % N, np.arange(20) % 5)


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
        allowed = {q for q, ok in (("text", text), ("image", image), ("text+image", text and image)) if ok}
        assert set(queries[chances[row] > 0]) <= allowed
    full = next(
        r
        for r in range(20)
        if all((pairs().queries.texts["text"][r], pairs().queries.images[r])) and 0 < r % N < 6 and r % N % 4
    )
    shares = np.array([m.share for m in MOON_MIX])
    np.testing.assert_allclose(chances[full], shares / shares.sum())


def test_posttraining_loss_is_info_nce_of_the_shown_views() -> None:
    featurize = Recorder()
    spus = np.arange(N) // 2
    step = posttraining_objective(featurize, tau, pairs(), items(), spus, mix(), [4, 8])  # type: ignore[arg-type]
    rows = np.array([1, 2, 5, 7, 11, 14])
    output = step(rows, np.random.default_rng(0))
    asked_queries, asked_items = featurize.asked
    queries, answers = Recorder()(asked_queries), Recorder()(asked_items)
    asked = [list(zip(views.texts, views.images, strict=True)) for views in (asked_queries, asked_items)]
    shown = [torch.tensor([views.index(row) for row in views]) for views in asked]
    ignore = same_identity(torch.from_numpy(spus[rows % N]), torch.from_numpy(rows % 5), *shown)
    expected = matryoshka(lambda q, p: info_nce(q, p, 0.1, ignore), queries, answers, [4, 8])
    torch.testing.assert_close(output.losses["info_nce"], expected)
    for row, text, image in zip(rows, asked_queries.texts, asked_queries.images, strict=True):
        assert text in (None, pairs().queries.texts["text"][row])
        assert image in (None, pairs().queries.images[row])
        assert text or image


def test_blended_queries_find_the_items_of_both_pictures() -> None:
    featurize, n = Recorder(), 12
    photos = PairTable(Parts({"text": column(*[None] * n)}, column(*[f"photo {k}" for k in range(n)])),
                       np.arange(n), np.arange(n))  # fmt: skip
    only = Mix(["image"], ["rich+image"], [1.0])
    spus = np.arange(N) // 2
    step = posttraining_objective(featurize, tau, photos, items(), spus, only, [4, 8], blend=0.7)  # type: ignore[arg-type]
    rows = np.array([0, 3, 4, 5, 7, 8, 9])
    output = step(rows, np.random.default_rng(1))
    queries, answers = Recorder()(featurize.asked[0]), Recorder()(featurize.asked[1])
    row_of = {f"photo {k}": i for i, k in enumerate(rows)}
    targets = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    same = torch.from_numpy(spus[rows][:, None] == spus[rows][None])
    ignore = same.clone()
    for i, image in enumerate(featurize.asked[0].images):
        first, second, share = image if isinstance(image, Blend) else (image, image, 1.0)
        assert row_of[str(first)] == i
        targets[i, i] += share
        targets[i, row_of[str(second)]] += 1 - share
        ignore[i] |= same[row_of[str(second)]]
    assert 0 < ((targets > 0).sum(1) == 2).sum() < len(rows)
    expected = matryoshka(lambda q, p: info_nce(q, p, 0.1, ignore, targets=targets), queries, answers, [4, 8])
    torch.testing.assert_close(output.losses["info_nce"], expected, rtol=1e-6, atol=1e-6)


def test_drawn_views_follow_the_shares() -> None:
    featurize = Recorder()
    n = 600
    one = PairTable(Parts({"text": column(*["q"] * n)}, column(*["p"] * n)), np.ones(n, int), np.arange(n))
    step = posttraining_objective(featurize, tau, one, items(), np.arange(N), mix(), [8])  # type: ignore[arg-type]
    step(np.arange(n), np.random.default_rng(0))
    both = np.mean(
        [
            t is not None and i is not None
            for t, i in zip(featurize.asked[0].texts, featurize.asked[0].images, strict=True)
        ]
    )
    assert both == pytest.approx(0.5 / 2.5, abs=0.05)


def test_pairs_that_fit_no_view_are_a_programming_error() -> None:
    only_text = Mix(["text"], ["rich"], [1.0])
    with pytest.raises(ValueError, match="fit no combination"):
        posttraining_objective(Recorder(), tau, pairs(), items(), np.arange(N), only_text, [8])  # type: ignore[arg-type]


def test_pretraining_uses_only_what_products_have() -> None:
    featurize = Recorder()
    rows = np.flatnonzero(items().has("image"))
    step = pretraining_objective(featurize, tau, items(), np.arange(N), rows, [8], 1.0, 0.5)  # type: ignore[arg-type]
    output = step(np.arange(len(rows)), np.random.default_rng(0))
    pictures, texts, again = featurize.asked
    assert pictures.texts == [None] * len(rows)
    assert None not in pictures.images
    assert again.images == pictures.images
    assert {text is None for text in again.texts} == {True, False}
    assert len(texts) == sum(r < 9 for r in rows)
    assert set(texts.images) == {None}
    matched = torch.tensor([i for i, r in enumerate(rows) if r < 9])
    expected = info_nce(Recorder()(pictures)[matched], Recorder()(texts), 0.1, symmetric=True)
    torch.testing.assert_close(output.losses["image_text"], expected)
    assert set(output.losses) == {"image_text", "self_supervision"}
