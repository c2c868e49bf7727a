"""The serving form scores a request as evaluation does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from openmoon.ctr.batches import Batches
from openmoon.ctr.build import build
from openmoon.ctr.codes import residual_kmeans
from openmoon.ctr.fit import predict
from openmoon.ctr.histories import QUERY
from openmoon.ctr.log import CtrLog
from openmoon.ctr.predictor import Behaviour, CtrPredictor, Query
from openmoon.ctr.saved import save_model
from openmoon.data.schema import ACTIONS
from openmoon.errors import UserError
from tests.ctr.tables import catalog, config, shop_log, shop_parts

SETTINGS = config(length=30, search=4)
LOG = shop_log(SETTINGS)
PARTS = shop_parts(LOG, SETTINGS)
NAMES = LOG.entities.products["product_id"].to_list()


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None)


def query(row: int) -> Query | None:
    """A query of the log with its vector."""
    if not row:
        return None
    text, image = LOG.entities.queries.row(row - LOG.entities.first_query)
    vector = PARTS.vectors.vectors[row].numpy()
    return Query(text, image, vector if vector.any() else None)


def behaviour(log: CtrLog, place: int) -> Behaviour:
    entity, kind, at = log.histories.entity[place], log.histories.kind[place], moment(log.histories.seconds[place])
    if kind == QUERY:
        return Behaviour(at, query=query(int(entity)))
    return Behaviour(at, NAMES[entity - 1], ACTIONS[kind])


def saved(name: str, folder: Path) -> tuple[CtrPredictor, np.ndarray]:
    """A model of that name with weights that are not near zero, served; and its probabilities for all candidates of the log."""
    parts = PARTS
    if name == "semantic_ids":
        vectors = PARTS.vectors.vectors[1 : LOG.entities.first_query].numpy()
        parts = replace(PARTS, codebooks=residual_kmeans(vectors, 2, 4))
    torch.manual_seed(0)
    model = build(name, parts)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape) * 0.3)
    save_model(folder, name, model, parts)
    products = pl.Series(PARTS.vectors.vectors[1 : LOG.entities.first_query].numpy(), dtype=pl.Array(pl.Float32, 8))
    table = pl.DataFrame({"product_id": NAMES, "vector": products, "encoder": "e"})
    there = PARTS.vectors.vectors[1 : LOG.entities.first_query].any(1).numpy()
    table.filter(pl.Series(there)).write_parquet(folder / "v.parquet")
    everything = Batches(LOG, np.arange(len(LOG.user)), 64, SETTINGS.length)
    return CtrPredictor.load(folder, catalog(), folder / "v.parquet"), predict(model, everything)


@pytest.mark.parametrize("name", ["dnn", "din", "cube", "muse", "simtier_make", "semantic_ids", "cube_debias"])
def test_a_request_has_the_probabilities_of_evaluation(name: str, tmp_path: Path) -> None:
    predictor, expected = saved(name, tmp_path)
    assert expected.std() > 0.01
    for request in range(3, len(LOG.user), 7):
        rows = LOG.candidates(np.array([request]))
        found = predictor.score(
            LOG.shoppers[int(LOG.shopper[request]) - 1], [NAMES[item - 1] for item in LOG.item[rows]],
            query(int(LOG.query[request])), [behaviour(LOG, place) for place in range(LOG.start[request], LOG.end[request])],
            moment(LOG.seconds[request]),
        )  # fmt: skip
        np.testing.assert_allclose(found, expected[rows], atol=1e-5)


def test_behaviours_at_or_after_the_moment_do_not_count(tmp_path: Path) -> None:
    predictor, _ = saved("din", tmp_path)
    now = moment(LOG.seconds[50])
    before = [behaviour(LOG, place) for place in range(LOG.start[50], LOG.end[50])]
    late = [Behaviour(now, "p3"), Behaviour(moment(LOG.seconds[50] + 5), "p4")]
    plain, more = (predictor.score("u1", ["p1", "p2"], behaviours=past, at=now) for past in (before, [*late, *before]))
    assert plain.tolist() == more.tolist()
    assert plain.tolist() != predictor.score("u1", ["p1", "p2"], at=now).tolist()


def test_of_behaviours_at_one_moment_the_last_given_is_the_latest(tmp_path: Path) -> None:
    predictor, _ = saved("muse", tmp_path)
    now, then = moment(LOG.seconds[50]), moment(LOG.seconds[50] - 5)
    clicks = [Behaviour(then, f"p{number % 20}") for number in range(2 * SETTINGS.length)]
    scores = [predictor.score("u1", ["p1", "p2"], behaviours=past, at=now).tolist()
              for past in (clicks, clicks[-SETTINGS.length :], clicks[: SETTINGS.length])]  # fmt: skip
    assert scores[0] == scores[1] != scores[2]


def test_a_query_of_blanks_asks_nothing(tmp_path: Path) -> None:
    predictor, _ = saved("din", tmp_path)
    now = moment(LOG.seconds[50])
    nothing, photo = (predictor.score("u1", ["p1"], one, at=now).tolist() for one in (Query(" "), Query(" ", "photo.jpg")))
    assert nothing == predictor.score("u1", ["p1"], at=now).tolist()
    assert photo == predictor.score("u1", ["p1"], Query(None, "photo.jpg"), at=now).tolist() != nothing


def test_what_is_new_is_scored_and_what_is_not_in_the_catalogue_is_refused(tmp_path: Path) -> None:
    predictor, _ = saved("cube", tmp_path)
    found = predictor.score("nobody", ["p1"] * 40, Query("never asked", vector=np.ones(8, np.float32)))
    assert found.shape == (40,)
    assert len(set(found.tolist())) == 1
    assert predictor.score("nobody", []).shape == (0,)
    with pytest.raises(UserError, match="candidate 'gone' is not in the catalogue"):
        predictor.score("u1", ["p1", "gone"])
    with pytest.raises(UserError, match=r"shape \(3,\), expected \(8,\)"):
        predictor.score("u1", ["p1"], Query("x", vector=np.ones(3)))
    with pytest.raises(UserError, match="name the table"):
        CtrPredictor.load(tmp_path, catalog())
