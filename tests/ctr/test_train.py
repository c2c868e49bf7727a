"""A whole job: what it leaves behind, when it is done again, and that it resumes wherever it is killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from openmoon.config.ctr import CtrConfig, CtrModelName
from openmoon.ctr import fit as loop
from openmoon.ctr import train as module
from openmoon.ctr.batches import Batches
from openmoon.ctr.fit import predict
from openmoon.ctr.saved import load_model
from openmoon.ctr.train import Job, run_id, train
from tests.ctr.tables import config, shop_log, shop_parts

SETTINGS = config(position=True, checkpoint_every=3, epochs=2, make_epochs=3, dropout=0.2)
LOG = shop_log(SETTINGS)
PARTS = shop_parts(LOG, SETTINGS)
STEPS = len(module._batches(LOG, "train", SETTINGS))  # of an epoch


class Killed(Exception):
    pass


def run(
    folder: Path,
    name: str,
    kill: tuple[str, int] | None = None,
    settings: CtrConfig = SETTINGS,
    done: list[tuple[str, int]] | None = None,
) -> bool:
    def on_step(step: int, total: int, note: str) -> None:
        stage = "main" if total == STEPS * SETTINGS.epochs else "content"
        if done is not None:
            done.append((stage, step))
        if kill == (stage, step):
            raise Killed

    torch.manual_seed(int(np.random.SeedSequence().generate_state(1)[0]))  # whatever the process did before
    return train(
        Job(name, 3, folder), LOG, PARTS if settings is SETTINGS else shop_parts(LOG, settings), "data", on_step
    )


@pytest.fixture(autouse=True)
def _every_step_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 1)


def outcome(folder: Path) -> tuple[list[float], dict[str, object]]:
    summary = json.loads((folder / "summary.json").read_text())
    for timing in ("seconds", "rows_per_s"):
        summary.pop(timing)
    return pl.read_parquet(folder / "scores.parquet")["probability"].to_list(), summary


@pytest.mark.parametrize("name", get_args(CtrModelName))
def test_every_model_trains_and_leaves_what_evaluation_reads(name: str, tmp_path: Path) -> None:
    assert run(tmp_path, name)
    scores = pl.read_parquet(tmp_path / "scores.parquet")
    test = LOG.requests("test")
    assert scores["row"].to_list() == LOG.row[LOG.candidates(test)].tolist()
    assert scores["probability"].is_between(0, 1).all()
    model = load_model(tmp_path, LOG.entities, PARTS.vectors)
    np.testing.assert_allclose(
        predict(model, Batches(LOG, test, 50, SETTINGS.length)), scores["probability"], atol=2e-6
    )
    assert not (tmp_path / "checkpoint.pt").exists()
    _, summary = outcome(tmp_path)
    assert (summary["model"], summary["seed"]) == (name, 3)
    assert ("popularity_leakage" in summary) == (model.content is not None)
    assert ("codes" in summary) == (name == "semantic_ids")
    assert ("content_val" in summary) == (name in ("make", "simtier_make"))
    shares = np.bincount(LOG.position[LOG.candidates(LOG.requests("train"))], minlength=64)
    np.testing.assert_allclose(model.places.numpy(), shares / shares.sum(), rtol=1e-5)


def test_what_is_finished_is_not_done_again_unless_something_changed(tmp_path: Path) -> None:
    assert run(tmp_path, "din")
    before = (tmp_path / "scores.parquet").read_bytes()
    assert not run(tmp_path, "din")
    assert (tmp_path / "scores.parquet").read_bytes() == before
    assert run(tmp_path, "din", settings=SETTINGS.model_copy(update={"lr": 0.01}))
    assert (tmp_path / "scores.parquet").read_bytes() != before


def test_a_run_is_its_model_seed_settings_and_data() -> None:
    job, more = Job("din", 0, Path()), config(models=["cube"], seeds=[7], truth="t.parquet")
    other = run_id(Job("dnn", 0, Path()), config(), "d"), run_id(Job("din", 1, Path()), config(), "d")
    runs = {*other, run_id(job, config(), "d"), run_id(job, config(lr=0.1), "d"), run_id(job, config(), "e")}
    assert len(runs) == 5
    assert run_id(job, more, "d") in runs, "which other models are trained does not matter"


@pytest.mark.parametrize(("name", "kills"), [
    ("din", [("main", 8)]), ("cube_debias", [("main", 8), ("main", 14)]), ("semantic_ids", [("main", 5)]),
    ("make", [("content", 8), ("content", 22)]), ("simtier_make", [("main", 2)]), ("make", [("main", 8)]),
])  # fmt: skip
def test_a_killed_job_ends_as_an_uninterrupted_one(name: str, kills: list[tuple[str, int]], tmp_path: Path) -> None:
    assert run(tmp_path / "straight", name)
    for kill in kills:
        with pytest.raises(Killed):
            run(tmp_path / "killed", name, kill)
    done: list[tuple[str, int]] = []
    assert run(tmp_path / "killed", name, done=done)
    stage, step = kills[-1]
    assert done[0][0] == stage, "what was finished before is not done again"
    assert (step - 1) // 3 * 3 < done[0][1] <= step, "nor what came before the last checkpoint"
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "straight")


def test_makes_network_keeps_the_vector_for_what_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was trained with that one."""
    trained: list[torch.Tensor] = []
    fit = module.fit

    def spy(model: torch.nn.Module, *arguments: object, **more: object) -> object:
        found = fit(model, *arguments, **more)  # type: ignore[arg-type]
        trained.append(model.content.missing.detach().clone())  # type: ignore[union-attr]
        return found

    monkeypatch.setattr(module, "fit", spy)
    for name in ("make", "simtier_make"):
        run(tmp_path / name, name)
        content, joined = trained[-2:]
        assert joined.equal(content)
        assert load_file(tmp_path / name / "model.safetensors")["content.missing"].equal(content)
