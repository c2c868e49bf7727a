"""Invariants of the loop: resume equals uninterrupted, the best validation wins, broken runs say so."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

from openmoon.data.views import Views
from openmoon.errors import UserError
from openmoon.training import loop
from openmoon.training.checkpoint import load_checkpoint, save_checkpoint
from openmoon.training.distributed import ALONE, World
from openmoon.training.loop import Progress, Schedule, fit
from openmoon.training.optim import build_optimizer, rate
from openmoon.training.plan import Encoded, Plan, StepOutput
from openmoon.training.queue import ItemQueue

DATA = torch.randn(40, 6, generator=torch.Generator().manual_seed(3))


class Killed(Exception):
    pass


def run(
    folder: Path,
    kill_at: int | None = None,
    scores: list[float] | None = None,
    patience: int = 99,
    lr: float = 1e-2,
    examples: int = len(DATA),
    average: float = 0.5,
    done: list[int] | None = None,
    start: int = 0,
    world: World = ALONE,
) -> tuple[Progress, nn.Module]:
    torch.manual_seed(start)
    model, temperature = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.3)), nn.Linear(1, 1)
    module = nn.ModuleDict({"model": model, "temperature": temperature})
    optimizer = build_optimizer(model, temperature, [], lr=lr, trunk_lr=lr, weight_decay=0.01)

    queue = ItemQueue(12, 4, 1)

    def encode(views: Views, rng: np.random.Generator) -> Encoded:
        rows = np.array(views.texts, int)
        noisy = DATA[rows] + 0.1 * torch.from_numpy(rng.normal(size=(len(rows), 6))).float()
        return Encoded(nn.functional.normalize(model(noisy), dim=1))

    def objective(rows: np.ndarray, rng: np.random.Generator, progress: float) -> Plan:
        def loss(encoded: Sequence[Encoded]) -> StepOutput:
            vectors = encoded[0].vectors
            old, _, _ = queue.items(vectors)
            queue.push(vectors.detach(), torch.from_numpy(rows)[None], torch.from_numpy(rows))
            against = (vectors @ torch.cat([vectors, old]).T).square().mean()
            return StepOutput({"spread": against, "zero": temperature.weight.sum() * 0}, vectors)

        return Plan([Views([str(row) for row in rows], [None] * len(rows))], loss)

    given = iter(scores or [])

    def validate() -> dict[str, float]:
        return {"score": next(given) if scores else -float(model[0](DATA).square().mean())}

    def on_step(step: int, total: int, note: str) -> None:
        if done is not None:
            done.append(step)
        if step == kill_at:
            raise Killed

    def tau() -> Tensor:
        return torch.tensor(0.05)

    schedule = Schedule("posttrain", examples, 8, 4, None, 0.1, 0, 3, patience)
    progress = fit(module, optimizer, tau, encode, objective, validate, schedule, clip=1.0, average=average, seed=5,
                   folder=folder, run="run", memory=queue, on_step=on_step, world=world)  # fmt: skip
    return progress, model


def losses(folder: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    assert len(dict(found)) == len(found), "every step is logged once"
    return dict(found)


@pytest.mark.parametrize("kill_at", [1, 3, 10, 19])
def test_a_killed_run_resumes_to_the_same_losses_and_weights(tmp_path: Path, kill_at: int) -> None:
    straight, model = run(tmp_path / "straight")
    with pytest.raises(Killed):
        run(tmp_path / "killed", kill_at)
    done: list[int] = []
    resumed, again = run(tmp_path / "killed", done=done)
    assert done[0] == (kill_at - 1) // 3 * 3 + 1, "only what came after the last checkpoint is done again"
    assert losses(tmp_path / "killed") == losses(tmp_path / "straight")
    assert (resumed.best, resumed.best_step) == (straight.best, straight.best_step)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)


def _one_of_two(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    _, model = run(Path(folder), start=rank, world=World(rank, 2))
    torch.save(model.state_dict(), f"{folder}/weights-{rank}.pt")
    scores = [0.1, 0.5, 0.4, 0.5 + 1e-12 * rank, 0.3]
    progress, _ = run(Path(folder) / f"own-{rank}", scores=scores, patience=2, world=World(rank, 2))
    assert (progress.best_step, progress.step) == (5, 15), "the leader's score decides"
    torch.distributed.destroy_process_group()


def test_two_processes_that_start_from_other_weights_end_with_the_same(tmp_path: Path) -> None:
    mp.start_processes(_one_of_two, (str(tmp_path),), nprocs=2, start_method="spawn")
    first, second = (torch.load(tmp_path / f"weights-{rank}.pt") for rank in range(2))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first, _ = run(tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    again, _ = run(tmp_path)
    assert again.step == first.step == 20
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda parameters, clip: torch.tensor(float("inf")))
    with pytest.raises(UserError, match="posttrain, step 1: the gradient is inf"):
        run(tmp_path)


def test_the_best_validation_wins_and_patience_stops(tmp_path: Path) -> None:
    progress, _ = run(tmp_path, scores=[0.1, 0.5, 0.4, 0.3], patience=2)
    assert (progress.best, progress.best_step, progress.step, progress.stopped) == (0.5, 5, 15, True)


def test_the_running_mean_of_the_weights_is_kept(tmp_path: Path) -> None:
    """Against weights that the same run without averaging went through, averaged here."""
    visited: list[Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        update = loop._update_average
        patch.setattr(
            loop,
            "_update_average",
            lambda p, m, d: (visited.append(m["model"][0].bias.detach().clone()), update(p, m, d)),
        )
        _, plain = run(tmp_path / "plain", scores=[0.0, 0.1, 0.2, 0.3, 0.4], average=0.0)
    _, model = run(tmp_path / "mean", scores=[0.0, 0.1, 0.2, 0.3, 0.4], average=0.8)
    torch.testing.assert_close(plain[0].bias, visited[-1])
    mean = visited[0]
    for step, weights in enumerate(visited[1:], 2):
        kept = min(0.8, (1 + step) / (10 + step))
        mean = kept * mean + (1 - kept) * weights
    torch.testing.assert_close(model[0].bias, mean)
    assert not torch.allclose(model[0].bias, plain[0].bias)


def test_an_exploding_loss_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"posttrain, step \d+: the loss is nan; lower posttrain\.lr"):
        run(tmp_path, lr=1e38)


def test_too_few_examples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 training examples"):
        run(tmp_path, examples=1)


def test_checkpoints_of_other_runs_and_formats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    assert load_checkpoint(path, "a") is None
    save_checkpoint(path, "a", {"x": 1})
    assert load_checkpoint(path, "a") == {"x": 1}
    with pytest.raises(UserError, match=r"checkpoint\.pt: was written with another recipe"):
        load_checkpoint(path, "b")
    torch.save({"format": 7}, path)
    with pytest.raises(UserError, match="checkpoint format is 7, this openmoon reads 2"):
        load_checkpoint(path, "a")
    path.write_bytes(b"half a che")
    with pytest.raises(UserError, match="not a readable checkpoint"):
        load_checkpoint(path, "a")


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    """A real limit on the size of files, in a process of its own."""
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, "a", {"x": 1})
    script = f"""
import resource, signal, torch
from openmoon.training.checkpoint import save_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
save_checkpoint({str(path)!r}, "a", {{"x": torch.zeros(100_000)}})
"""
    failed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "UserError" in failed.stderr
    assert "checkpoint.pt: cannot be written (File too large)" in failed.stderr
    assert load_checkpoint(path, "a") == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_the_rate_warms_up_and_decays_to_zero() -> None:
    rates = [rate(step, 100, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == rates[10] == 1
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 <= rates[-1] < 1e-3
