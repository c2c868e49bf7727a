"""What models look at, against look-ups one by one."""

from __future__ import annotations

import numpy as np
import torch

from openmoon.ctr.batches import Batches
from openmoon.ctr.content import Content
from openmoon.ctr.scene import Scene
from tests.ctr.tables import config, shop_log, shop_parts

LOG = shop_log()
PARTS = shop_parts(LOG, config())


def scene() -> Scene:
    torch.manual_seed(0)
    batch = list(Batches(LOG, LOG.requests("train"), 60, 6).in_order())[-1]
    return Scene(batch, PARTS.embeddings(), Content(PARTS.vectors))


@torch.no_grad()
def test_similarities_are_cosines_of_the_vectors() -> None:
    s = scene()
    missing = torch.nn.functional.normalize(s.content.missing, dim=0)
    rows = PARTS.vectors.vectors

    def vector(row: int) -> torch.Tensor:
        return missing if row > 0 and not rows[row].any() else rows[row]

    for r, k in np.ndindex(*s.batch.item.shape):
        item = vector(int(s.batch.item[r, k]))
        for i in range(s.batch.history.shape[1]):
            expected = item @ vector(int(s.batch.history[r, i]))
            assert torch.isclose(s.similarity[r, k, i], expected, atol=1e-6)
        assert torch.isclose(s.query_similarity[r, k, 0], item @ vector(int(s.batch.query[r])), atol=1e-6)
    asked = s.batch.query > 0
    assert 0 < asked.sum() < len(asked)
    assert not s.query_similarity[~asked].any()


@torch.no_grad()
def test_kind_and_age_are_added_to_a_behaviours_id() -> None:
    s = scene()
    batch, tables = s.batch, s.embeddings.tables
    numbers = LOG.vocabulary.of_entities(LOG.entities)
    for r, i in np.ndindex(*batch.history.shape):
        row = int(batch.history[r, i])
        how = tables["kind"].weight[batch.kind[r, i]] + tables["age"].weight[batch.age[r, i]]
        own = tables["id"].weight[numbers["id"][row]] + how
        expected = torch.cat([own, tables["category"].weight[numbers["category"][row]]])
        torch.testing.assert_close(s.behaviours[r, i], expected)
    assert s.target.equal(s.product[..., :8])


@torch.no_grad()
def test_a_query_is_its_id_and_the_mean_of_its_words() -> None:
    s = scene()
    tables, words = s.embeddings.tables, LOG.entities.words
    red_boots = LOG.entities.first_query + LOG.entities.queries["query_text"].to_list().index("red boots")
    for row, count in ((red_boots, 2), (0, 0)):
        found = s.embeddings.query(torch.tensor([row]))[0]
        number = LOG.vocabulary.of_entities(LOG.entities)["id"][row]
        used = words[row][words[row] > 0]
        assert len(used) == count
        mean = tables["word"].weight[torch.from_numpy(used).long()].mean(0) if count else torch.zeros(4)
        torch.testing.assert_close(found, torch.cat([tables["id"].weight[number], mean]))
