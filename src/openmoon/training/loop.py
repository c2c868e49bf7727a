"""The training loop: batches → objective → AdamW, with validation, early stop, checkpoints and exact resume.

Everything random in a step comes from (seed, step), so the state of a run is its weights, optimiser and step number, and a
killed run goes on to the same losses.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from openmoon.errors import UserError
from openmoon.space import space_statistics
from openmoon.training.backward import backward
from openmoon.training.checkpoint import load_checkpoint, save_checkpoint
from openmoon.training.distributed import ALONE, World
from openmoon.training.log import MetricsLog
from openmoon.training.monitor import check_alive
from openmoon.training.optim import rate
from openmoon.training.plan import EncodeViews, Objective

STATISTICS_EVERY = 10  # steps between two looks at the embedding space


@dataclass(frozen=True)
class Schedule:
    """A stage and its lengths, in steps unless named otherwise. Raises `UserError` for fewer than 2 examples."""

    stage: str
    examples: int
    batch_size: int
    epochs: int
    max_steps: int | None
    warmup: float  # share of all steps
    validate_every: int  # 0: once an epoch
    checkpoint_every: int
    patience: int  # validations without improvement
    chunk: int = 0  # rows that are in the encoder at once; 0: the whole batch

    def __post_init__(self) -> None:
        if self.examples < 2:
            raise UserError(
                f"{self.stage}: {self.examples} training examples, at least 2 are needed; check data.split and the views or "
                f"weights of {self.stage}."
            )

    @property
    def batch(self) -> int:
        return min(self.batch_size, self.examples)

    @property
    def epoch(self) -> int:
        return self.examples // self.batch

    @property
    def total(self) -> int:
        steps = self.epoch * self.epochs
        return min(steps, self.max_steps) if self.max_steps else steps


@dataclass
class Progress:
    """Where a run is. `best` is the highest validation score, reached at `best_step`."""

    step: int = 0
    best: float = float("-inf")
    best_step: int = 0
    stale: int = 0
    stopped: bool = False
    seconds: float = 0.0
    average: dict[str, Tensor] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)


def nothing(step: int) -> dict[str, float]:
    """What is done before a step where nothing is kept between steps."""
    return {}


def fit(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    temperature: Callable[[], Tensor],
    encode: EncodeViews,
    objective: Objective,
    validate: Callable[[], dict[str, float]],
    schedule: Schedule,
    *,
    clip: float,
    average: float,
    seed: int,
    folder: Path,
    run: str,
    memory: nn.Module | None = None,
    world: World = ALONE,
    before_step: Callable[[int], dict[str, float]] = nothing,
    on_resume: Callable[[int], None] = lambda step: None,
    on_step: Callable[[int, int, str], None] = lambda step, total, text: None,
) -> Progress:
    """Train the parameters of `module` that require gradients and leave it with the weights of the best validation.

    A step is the plan that `objective` makes of a batch, encoded by `encode`. `memory` holds what the objective keeps between
    steps (queues) and goes into checkpoints; `before_step` may renew it, given the number of steps done, and returns figures for
    the log. Over several processes each encodes its share of every batch.

    What is validated and kept is the running mean of the weights, with decay `average` (less in the first steps).
    `validate()` returns metrics of the validation split, of which `score` decides. Logs to `folder/metrics.jsonl`, keeps
    `folder/checkpoint.pt`; when that exists the run goes on from there, after `on_resume(steps done)`. `run` identifies recipe
    and data.
    """
    path = folder / "checkpoint.pt"
    progress = Progress()
    if (state := load_checkpoint(path, run)) is not None:
        module.load_state_dict(state["weights"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        progress = Progress(**state["progress"])
        device = next(module.parameters()).device
        for weights in (progress.average, progress.best_weights):
            weights.update({name: value.to(device) for name, value in weights.items()})
        if memory is not None:
            memory.load_state_dict(state["memory"])
        if world.leads:
            on_resume(progress.step)
    world.agree(trained_weights(module).values())
    log = MetricsLog(folder, schedule.stage, progress.step) if world.leads else None
    if progress.step == 0:
        _validate(module, validate, progress, schedule, log, world)
    started = time.perf_counter() - progress.seconds
    while progress.step < schedule.total and not progress.stopped:
        before = time.perf_counter()
        renewed = before_step(progress.step)
        values = renewed | _step(module, optimizer, encode, objective, schedule, progress.step, clip, seed, world)
        progress.step += 1
        _update_average(progress, module, average)
        values |= {
            "temperature": temperature().item(),
            "samples_per_s": schedule.batch / (time.perf_counter() - before),
        }
        if log:
            log.write(progress.step, **values)
        if progress.step % (schedule.validate_every or schedule.epoch) == 0 or progress.step == schedule.total:
            _validate(module, validate, progress, schedule, log, world)
        on_step(progress.step, schedule.total, f"loss {values['loss']:.3f}  best {progress.best:.3f}")
        progress.seconds = time.perf_counter() - started
        if progress.step % schedule.checkpoint_every == 0 or progress.step == schedule.total or progress.stopped:
            state = {
                "weights": trained_weights(module),
                "optimizer": optimizer.state_dict(),
                "progress": vars(progress),
                "memory": memory.state_dict() if memory is not None else {},
            }
            if world.leads:
                save_checkpoint(path, run, state)
    if log:
        log.close()
    module.load_state_dict(progress.best_weights, strict=False)
    module.eval()
    return progress


def _step(
    module: nn.Module, optimizer: torch.optim.Optimizer, encode: EncodeViews, objective: Objective, schedule: Schedule, step: int,
    clip: float, seed: int, world: World,
) -> dict[str, Any]:  # fmt: skip
    stage, (epoch, place) = schedule.stage, divmod(step, schedule.epoch)
    factor = rate(step, schedule.total, max(1, round(schedule.warmup * schedule.total)))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    module.train()
    rows = _order(seed, epoch, schedule.examples)[place * schedule.batch : (place + 1) * schedule.batch]
    optimizer.zero_grad(set_to_none=True)
    plan = objective(rows, np.random.default_rng([seed, 2, step]), step / schedule.total)
    output = backward(plan, encode, (seed, 3, step), schedule.chunk, world)
    loss = torch.stack(list(output.losses.values())).sum()
    if not torch.isfinite(loss):
        raise UserError(f"{stage}, step {step + 1}: the loss is {loss.item()}; lower {stage}.lr or {stage}.trunk_lr.")
    trained = [p for p in module.parameters() if p.requires_grad]
    world.average_gradients(trained)
    norm = torch.nn.utils.clip_grad_norm_(trained, clip)
    if not torch.isfinite(norm):
        raise UserError(f"{stage}, step {step + 1}: the gradient is {norm.item()}; lower {stage}.lr or {stage}.trunk_lr.")
    optimizer.step()
    losses = {name: value.item() for name, value in output.losses.items()}
    values = {
        "loss": loss.item(),
        "losses": losses,
        "lr": optimizer.param_groups[1]["lr"],
        "gradient_norm": norm.item(),
        **output.figures,
    }
    if step % STATISTICS_EVERY == 0 and len(output.vectors) > 1:
        statistics = space_statistics(output.vectors.detach().float())
        check_alive(statistics, len(output.vectors), stage, step + 1)
        values |= statistics
    return values


@lru_cache(maxsize=1)
def _order(seed: int, epoch: int, examples: int) -> np.ndarray:
    """The order in which an epoch goes through the examples."""
    return np.random.default_rng([seed, 1, epoch]).permutation(examples)


def _update_average(progress: Progress, module: nn.Module, decay: float) -> None:
    """Mean over about the last 1/(1 - decay) steps, over fewer at the start, so that early weights are forgotten."""
    kept = min(decay, (1 + progress.step) / (10 + progress.step)) if decay else 0.0
    for name, value in trained_weights(module).items():
        if name in progress.average:
            progress.average[name].lerp_(value, 1 - kept)
        else:
            progress.average[name] = value.clone()


def _validate(
    module: nn.Module, validate: Callable[[], dict[str, float]], progress: Progress, schedule: Schedule,
    log: MetricsLog | None, world: World,
) -> None:  # fmt: skip
    current = {name: value.clone() for name, value in trained_weights(module).items()}
    averaged = progress.average or current
    module.load_state_dict(averaged, strict=False)
    module.eval()
    with torch.inference_mode():
        metrics = validate()
    module.load_state_dict(current, strict=False)
    if log:
        log.write(progress.step, val=metrics)
    score = torch.tensor(metrics["score"], dtype=torch.float64)
    world.agree([score])  # or one process stops by its own rounding, while the others wait for it
    if score.item() > progress.best:
        progress.best, progress.best_step, progress.stale = score.item(), progress.step, 0
        progress.best_weights = {name: value.clone() for name, value in averaged.items()}
    else:
        progress.stale += 1
        progress.stopped = progress.stale >= schedule.patience


def trained_weights(module: nn.Module) -> dict[str, Tensor]:
    """The parameters that are trained; frozen ones come from the encoder that the stage started from."""
    return {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
