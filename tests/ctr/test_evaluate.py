"""Systems measured from the predictions of their seeds, and the result file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from openmoon.ctr import evaluate
from openmoon.ctr.evaluate import baselines, load_scores, measure
from openmoon.ctr.metrics import calibration, group_aucs
from openmoon.ctr.results import CtrResult, Figures
from openmoon.ctr.slices import NEW_PRODUCTS, UNKNOWN_PRODUCTS
from openmoon.errors import UserError
from tests.ctr.tables import shop_log

LOG = shop_log(requests=300)
PART = evaluate.held_out(LOG, None)
RANDOM = np.random.default_rng(0)
NOISE = {seed: RANDOM.random(len(PART.rows)).astype(np.float32) for seed in (0, 1)}
BETTER = {seed: (0.5 * NOISE[seed] + 0.3 * PART.labels).astype(np.float32) for seed in (0, 1)}


def summaries(folder: Path) -> list[Path]:
    found = []
    for seed in (0, 1):
        found.append(folder / f"{seed}.json")
        facts = {"rows_per_s": 100 + seed, "popularity_leakage": {"v": 0.2 + 0.2 * seed, "v_adjusted": None}}
        found[-1].write_text(json.dumps(facts))
    return found


def test_the_test_part_is_that_of_the_log() -> None:
    assert PART.rows.tolist() == LOG.candidates(LOG.requests("test")).tolist()
    assert PART.labels.tolist() == LOG.label[PART.rows].tolist()
    names = LOG.shopper[LOG.request_of(PART.rows)].tolist()
    assert len({(name, number) for name, number in zip(names, PART.shoppers, strict=True)}) == len(set(names))
    assert sorted(set(PART.shoppers)) == list(range(PART.shopper_count))
    assert evaluate.held_out(shop_log(requests=300), None).hash == PART.hash
    assert evaluate.held_out(shop_log(requests=300, seed=1), None).hash != PART.hash


def test_truth_is_taken_by_the_rows_of_the_events() -> None:
    uniform = np.arange(int(LOG.row.max()) + 1) % 3 == 0
    part = evaluate.held_out(LOG, pl.DataFrame({"uniform": uniform}))
    assert part.slices["exposure"]["uniform"].tolist() == uniform[LOG.row[PART.rows]].tolist()


def test_figures_are_per_seed_and_slices_their_mean(tmp_path: Path) -> None:
    found = measure(PART, BETTER, NOISE, summaries(tmp_path))
    for seed, p in BETTER.items():
        assert found.seeds[str(seed)].auc == pytest.approx(roc_auc_score(PART.labels, p))
    mask = PART.slices["query"]["words"]
    part = found.slices["query"]["words"]
    each = [roc_auc_score(PART.labels[mask], p[mask]) for p in BETTER.values()]
    assert part.figures.auc == pytest.approx(np.mean(each))
    assert (part.rows, part.chosen) == (mask.sum(), PART.labels[mask].sum())
    assert found.calibration is not None
    assert np.dot(found.calibration["rows"], found.calibration["observed"]) == pytest.approx(PART.labels.sum())
    curves = [calibration(PART.labels, p) for p in BETTER.values()]
    assert found.calibration["error"] == pytest.approx(np.mean([curve.error for curve in curves if curve]))
    assert found.calibration["predicted"][3] == pytest.approx(np.mean([curve.predicted[3] for curve in curves if curve]))
    assert found.rows_per_s == 100.5
    assert found.leakage == {"v": pytest.approx(0.3), "v_adjusted": None}


def test_gain_is_over_the_reference_on_the_same_shoppers(tmp_path: Path) -> None:
    found = measure(PART, BETTER, NOISE, [])
    base = measure(PART, NOISE, None, [])
    assert base.gain is None
    assert found.gain is not None
    ours, theirs = found.mean("gauc"), base.mean("gauc")
    assert ours is not None
    assert theirs is not None
    assert found.gain.gauc == pytest.approx(ours - theirs)
    assert 0 < found.gain.low < found.gain.gauc < found.gain.high
    same = measure(PART, NOISE, NOISE, [])
    assert same.gain is not None
    assert (same.gain.gauc, same.gain.low, same.gain.high) == (0, 0, 0)


def test_gains_on_new_and_on_unknown_products_are_those_of_their_slices() -> None:
    new, unknown = (np.arange(len(PART.rows)) % number == 0 for number in (2, 3))
    part = replace(PART, slices={"product": {NEW_PRODUCTS: new, UNKNOWN_PRODUCTS: unknown}})
    found = measure(part, BETTER, NOISE, [])
    for mask, gain in ((new, found.new_gain), (unknown, found.unknown_gain)):
        ours, theirs = ([group_aucs(part.labels[mask], p[mask], part.shoppers[mask], part.shopper_count).mean()
                         for p in side.values()] for side in (BETTER, NOISE))  # fmt: skip
        assert gain is not None
        assert gain.gauc == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert measure(PART, BETTER, NOISE, []).unknown_gain is None


def test_baselines_predict_every_impression() -> None:
    found = baselines(LOG, PART)
    assert set(found) == {"popularity only", "position only"}
    for scores in found.values():
        assert len(scores[0]) == len(PART.rows)
        assert ((scores[0] > 0) & (scores[0] < 1)).all()


def test_scores_are_of_this_test_part_and_of_a_finished_run(tmp_path: Path) -> None:
    table = pl.DataFrame({"row": LOG.row[PART.rows], "probability": NOISE[0]})
    table.write_parquet(tmp_path / "scores.parquet")
    with pytest.raises(UserError, match="no predictions; `openmoon ctr train` makes them"):
        load_scores(tmp_path, LOG, PART)
    (tmp_path / "summary.json").write_text("{}")
    assert load_scores(tmp_path, LOG, PART).tolist() == NOISE[0].tolist()
    table.reverse().write_parquet(tmp_path / "scores.parquet")
    with pytest.raises(UserError, match="predicts other impressions"):
        load_scores(tmp_path, LOG, PART)


def result() -> CtrResult:
    systems = {"noise": measure(PART, NOISE, None, []), "better": measure(PART, BETTER, NOISE, [])}
    nothing = Figures(auc=None, gauc=None, log_loss=0.1, pcoc=None)
    systems["undefined"] = measure(PART, {0: NOISE[0]}, None, []).model_copy(update={"seeds": {"0": nothing}})
    return CtrResult(recipe={}, counts=LOG.counts, candidates=PART.hash, reference="noise", coverage=None, systems=systems,
                     seconds=1.0, versions={}, machine={})  # fmt: skip


def test_a_saved_result_is_the_same(tmp_path: Path) -> None:
    result().save(tmp_path / "r.json")
    assert CtrResult.load(tmp_path / "r.json") == result()
    with pytest.raises(UserError, match="`openmoon ctr evaluate` writes them"):
        CtrResult.load(tmp_path / "none.json")


def test_the_table_has_means_deviations_and_what_is_undefined() -> None:
    lines = result().to_table().splitlines()
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in lines[2:]}
    noise = result().systems["noise"]
    aucs = [one.auc for one in noise.seeds.values() if one.auc is not None]
    assert rows["noise"][1:3] == ["2", f"{np.mean(aucs):.4f} ± {np.std(aucs, ddof=1):.4f}"]
    assert rows["undefined"][1:5] == ["1", "undefined", "undefined", "0.1000"]
    assert rows["better"][6].startswith("+0.")
    assert "GAUC gain over noise" in lines[0]
    assert all(line.count("|") == lines[0].count("|") for line in lines)
