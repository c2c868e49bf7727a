"""Training of one network: a pass or a few over the training requests, resumable to the same losses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from openmoon.ctr.batches import Batch, Batches
from openmoon.ctr.metrics import auc, log_loss
from openmoon.training.checkpoint import load_checkpoint, save_checkpoint
from openmoon.training.log import MetricsLog

LOG_EVERY = 20  # steps


class Addition(Protocol):
    """A further loss. `state` is what it needs, beside the weights, to go on from a checkpoint."""

    def __call__(self, step: int) -> tuple[str, torch.Tensor] | None:
        """Its name and its value in a step."""

    state: dict[str, torch.Tensor]


class Predictor(Protocol):
    """What `fit` trains: a module with these."""

    def __call__(self, batch: Batch) -> torch.Tensor: ...
    def training_logits(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor: ...
    def probabilities(self, logits: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True)
class Plan:
    """How long and how: whole passes over the training batches, Adam's rate and decay, steps between checkpoints."""

    epochs: int
    lr: float
    weight_decay: float
    checkpoint_every: int
    seed: int


@dataclass
class Fitted:
    """What a training did. `val` has the metrics of each epoch; the weights kept are those of the epoch with the best AUC."""

    step: int = 0
    seconds: float = 0.0  # in training steps, without validation
    impressions: int = 0
    best_epoch: int = 0
    val: list[dict[str, float | None]] | None = None

    @property
    def rows_per_s(self) -> float:
        """Training impressions a second."""
        return self.impressions / self.seconds if self.seconds else 0.0


def fit(
    model: nn.Module, train: Batches, val: Batches, plan: Plan, folder: Path, run: str, stage: str,
    addition: Addition | None = None, on_step: Callable[[int, int, str], None] = lambda step, total, note: None,
) -> Fitted:  # fmt: skip
    """Train `model` (a `Predictor`) and leave it with the weights of the epoch whose validation AUC is best.

    The order of the batches follows from (seed, epoch), dropout from (seed, step). Logs to `folder/metrics.jsonl`; goes on from
    `folder/checkpoint.pt` where that is of the same `run`.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=plan.lr, weight_decay=plan.weight_decay, fused=True)
    path, per_epoch = folder / "checkpoint.pt", len(train)
    fitted, best = Fitted(val=[]), dict[str, torch.Tensor]()
    if (state := load_checkpoint(path, run)) is not None:
        model.load_state_dict(state["weights"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        fitted, best = Fitted(**state["fitted"]), state["best"]
        if addition is not None:
            addition.state = state["addition"]
    total = per_epoch * plan.epochs
    log = MetricsLog(folder, stage, fitted.step)
    assert fitted.val is not None
    while len(fitted.val) < plan.epochs:
        epoch = len(fitted.val)
        end = (epoch + 1) * per_epoch
        for batch in train.shuffled((plan.seed, epoch), start=fitted.step - epoch * per_epoch):
            began = time.perf_counter()
            losses = train_step(model, optimizer, batch, plan.seed, fitted.step, addition)
            fitted.step += 1
            fitted.seconds += time.perf_counter() - began
            fitted.impressions += len(batch.candidate)
            if fitted.step % LOG_EVERY == 0 or fitted.step == total:
                log.write(fitted.step, losses=losses, rows_per_s=fitted.rows_per_s)
                on_step(fitted.step, total, f"loss {losses['log loss']:.4f}")
            if fitted.step % plan.checkpoint_every == 0 and fitted.step < end:  # at its end with what validation finds
                _save(path, run, model, optimizer, fitted, best, addition)
        found = validate(model, val)
        fitted.val.append(found)
        log.write(fitted.step, val=found)
        if _better(fitted.val):
            fitted.best_epoch = len(fitted.val)
            best = {name: value.clone() for name, value in model.state_dict().items()} if plan.epochs > 1 else {}
        _save(path, run, model, optimizer, fitted, best, addition)
    log.close()
    if best:
        model.load_state_dict(best)
    return fitted


def train_step(
    model: Any, optimizer: torch.optim.Optimizer, batch: Batch, seed: int, step: int,
    addition: Addition | None = None,
) -> dict[str, float]:
    """One step on one batch; the losses before it."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step]).generate_state(1)[0]))
    model.train()
    each = F.binary_cross_entropy_with_logits(model.training_logits(model(batch), batch), batch.label, reduction="none")
    loss = (each * batch.weight).sum() / batch.weight.sum()
    losses = {"log loss": float(loss.detach())}
    if addition is not None and (more := addition(step)) is not None:
        name, value = more
        losses[name] = float(value.detach())
        loss = loss + value
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return losses


@torch.inference_mode()
def predict(model: Any, batches: Batches) -> np.ndarray:
    """Probability of a choice for every candidate of the batches, in the order of the log (n,) float32."""
    model.eval()
    candidates = batches.candidates
    found = np.full(len(candidates), np.nan, np.float32)
    for batch in batches.in_order():
        p = model.probabilities(model(batch))[batch.item > 0]
        found[np.searchsorted(candidates, batch.candidate.numpy())] = p.numpy()
    return found


def validate(model: nn.Module, batches: Batches) -> dict[str, float | None]:
    """AUC and LogLoss."""
    labels, p = batches.log.label[batches.candidates], predict(model, batches)
    return {"auc": auc(labels, p), "log_loss": log_loss(labels, p)}


def _better(val: list[dict[str, float | None]]) -> bool:
    aucs = [one["auc"] if one["auc"] is not None else -1.0 for one in val]
    return aucs[-1] >= max(aucs)


def _save(
    path: Path,
    run: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    fitted: Fitted,
    best: dict[str, torch.Tensor],
    addition: Addition | None,
) -> None:
    state = {"weights": model.state_dict(), "optimizer": optimizer.state_dict(), "fitted": vars(fitted), "best": best,
             "addition": addition.state if addition is not None else None}  # fmt: skip
    save_checkpoint(path, run, state)
