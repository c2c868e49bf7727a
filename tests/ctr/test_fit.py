"""Invariants of the training: resumed equals uninterrupted, the best epoch is kept, the loss is the weighed mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from openmoon.config.ctr import CtrConfig
from openmoon.ctr import fit as module
from openmoon.ctr.batches import Batches
from openmoon.ctr.build import build
from openmoon.ctr.debias import HeadAndTail
from openmoon.ctr.fit import Fitted, Plan, fit, predict
from openmoon.ctr.log import CtrLog
from openmoon.ctr.metrics import auc, log_loss
from openmoon.ctr.model import CtrModel
from openmoon.errors import UserError
from tests.ctr.tables import config, shop_log, shop_parts

LOG = shop_log()
OnStep = Callable[[int, int, str], None]


class Killed(Exception):
    pass


def killed_at(step: int) -> OnStep:
    def on_step(now: int, total: int, note: str) -> None:
        if now == step:
            raise Killed

    return on_step


def run(
    folder: Path,
    name: str = "din",
    epochs: int = 2,
    on_step: OnStep = lambda *_: None,
    run: str = "run",
    log: CtrLog = LOG,
    **changes: object,
) -> tuple[Fitted, CtrModel]:
    settings: CtrConfig = config(position=True, debias={"alpha": 1.0, "per_step": 8}, **changes)
    torch.manual_seed(0)
    model = build(name, shop_parts(log, settings))
    model.places[1:7] = 1 / 6
    train = Batches(log, log.requests("train"), 48, settings.length)
    val = Batches(log, log.requests("val"), 200, settings.length)
    addition = HeadAndTail(model.content, log, settings.debias, len(train), 1) if name == "cube_debias" else None
    plan = Plan(epochs, 0.02, 0.0, checkpoint_every=4, seed=1)
    return fit(model, train, val, plan, folder, run, "ctr", addition, on_step), model


@pytest.fixture(autouse=True)
def _every_step_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_EVERY", 1)


def lines(folder: Path, what: str) -> list[tuple[int, object]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line[what]) for line in found if what in line]


@pytest.mark.parametrize(("name", "dropout", "epochs", "kill_at"), [
    ("din", 0.0, 1, 6), ("din", 0.3, 3, 2), ("din", 0.3, 3, 6), ("din", 0.3, 3, 19), ("cube", 0.3, 2, 13),
    ("cube_debias", 0.3, 2, 7), ("cube_debias", 0.3, 2, 22),
])  # fmt: skip
def test_a_killed_run_resumes_to_the_same_losses_and_weights(
    tmp_path: Path, name: str, dropout: float, epochs: int, kill_at: int
) -> None:
    straight, model = run(tmp_path / "straight", name, epochs, dropout=dropout)
    assert straight.step == epochs * 12
    with pytest.raises(Killed):
        run(tmp_path / "killed", name, epochs, killed_at(kill_at), dropout=dropout)
    steps: list[int] = []
    resumed, again = run(tmp_path / "killed", name, epochs, lambda step, *_: steps.append(step), dropout=dropout)
    assert steps[0] <= kill_at, "what came after the checkpoint is done again"
    assert steps[0] > 1 or kill_at < 5, "what came before it is not"
    for what in ("losses", "val"):
        assert lines(tmp_path / "killed", what) == lines(tmp_path / "straight", what)
    assert (resumed.step, resumed.impressions, resumed.best_epoch, resumed.val) == (
        straight.step, straight.impressions, straight.best_epoch, straight.val)  # fmt: skip
    for field, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[field], value, rtol=0, atol=0, msg=field)


def test_killed_between_a_validation_and_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step of an epoch is a step of a checkpoint too, which would know nothing of the validation that follows."""
    straight, _ = run(tmp_path / "straight")
    save = module._save

    def killed_after_validation(path: Path, run: str, model: object, optimizer: object, fitted: Fitted, *rest: object) -> None:
        if fitted.val:
            raise Killed
        save(path, run, model, optimizer, fitted, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_save", killed_after_validation)
    with pytest.raises(Killed):
        run(tmp_path / "killed")
    monkeypatch.setattr(module, "_save", save)
    assert [step for step, _ in lines(tmp_path / "killed", "val")] == [12]
    resumed, _ = run(tmp_path / "killed")
    assert resumed.val == straight.val
    for what in ("losses", "val"):
        assert lines(tmp_path / "killed", what) == lines(tmp_path / "straight", what)


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first, model = run(tmp_path)
    second, again = run(tmp_path, on_step=killed_at(1))
    assert vars(first) == vars(second)
    for field, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[field], value, rtol=0, atol=0)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(UserError, match="another recipe or other data"):
        run(tmp_path, run="another")


def test_the_epoch_with_the_best_validation_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    aucs = iter([0.6, 0.7, None, 0.65])

    def validate(model: CtrModel, batches: Batches) -> dict[str, float | None]:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"auc": next(aucs), "log_loss": 0.5}

    monkeypatch.setattr(module, "validate", validate)
    fitted, model = run(tmp_path, epochs=4)
    assert fitted.best_epoch == 2
    for field, value in model.state_dict().items():
        torch.testing.assert_close(value, seen[1][field], rtol=0, atol=0)
    assert not seen[3]["tower.output.weight"].equal(seen[1]["tower.output.weight"])


def test_validation_measures_the_model_that_is_left(tmp_path: Path) -> None:
    fitted, model = run(tmp_path, epochs=1)
    val = Batches(LOG, LOG.requests("val"), 33, 8)
    labels, p = LOG.label[LOG.candidates(LOG.requests("val"))], predict(model, val)
    assert fitted.val == [{"auc": pytest.approx(auc(labels, p)), "log_loss": pytest.approx(log_loss(labels, p))}]


def test_training_finds_what_shoppers_like(tmp_path: Path) -> None:
    """They choose products of one category four times as often as others."""
    fitted, _ = run(tmp_path, "cube", epochs=3, log=shop_log(requests=900))
    assert fitted.val is not None
    assert max(one["auc"] or 0 for one in fitted.val) > 0.65


def test_the_loss_of_a_step_is_the_weighed_mean_over_the_candidates() -> None:
    settings = config(position=True)
    torch.manual_seed(0)
    model = build("din", shop_parts(LOG, settings))
    weights = np.random.default_rng(0).random(len(LOG.item)).astype(np.float32)
    batch = next(Batches(LOG, LOG.requests("train"), 100, 8, weights).in_order())
    logits = model.training_logits(model(batch), batch)
    there = batch.item > 0
    each = F.binary_cross_entropy_with_logits(logits[there], batch.label[there], reduction="none")
    mean = (each * batch.weight[there]).sum() / batch.weight[there].sum()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    found = module.train_step(model, optimizer, batch, 0, 0, lambda step: ("more", model.tower.output.bias.sum() * 0 + 2))
    assert found == {"log loss": pytest.approx(mean.item()), "more": 2.0}


def test_dropout_follows_from_the_step() -> None:
    settings = config(dropout=0.5)
    model = build("din", shop_parts(LOG, settings))
    batch = next(Batches(LOG, LOG.requests("train"), 100, 8).in_order())
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    losses = [
        module.train_step(model, still, batch, seed, step, None)["log loss"]
        for seed, step in ((0, 0), (0, 1), (1, 0), (0, 0))
    ]
    assert len(set(losses)) == 3
    assert losses[0] == losses[3]


def test_positions_change_what_is_learnt(tmp_path: Path) -> None:
    _, model = run(tmp_path / "with", epochs=1)
    assert model.place is not None
    assert model.place.weight[1:6].abs().min() > 0
    batch = next(Batches(LOG, LOG.requests("train"), 100, 8).in_order())
    moved = replace(batch, position=batch.position.flip(1) * (batch.item > 0))
    losses = [module.train_step(model, torch.optim.SGD(model.parameters(), lr=0.0), b, 0, 0, None) for b in (batch, moved)]
    assert losses[0] != losses[1]
