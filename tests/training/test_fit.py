"""What a training does step by step: whom it meets, in which order, at which rate, and which weights are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from openmoon.data.views import Views
from openmoon.errors import UserError
from openmoon.training import monitor
from openmoon.training.loop import Schedule, fit
from openmoon.training.optim import build_optimizer, rate
from openmoon.training.plan import Encoded, Plan, StepOutput

EXAMPLES, BATCH, EPOCHS = 16, 4, 2
STEPS = EPOCHS * EXAMPLES // BATCH


class Training:
    """Two passes over 16 examples in batches of 4, validated at the start and every second step; `seen` has what it was asked."""

    def __init__(self, folder: Path, scores: Sequence[float], clip: float) -> None:
        torch.manual_seed(0)
        self.seen: dict[str, list[Any]] = defaultdict(list)
        self.encoder, self.head = nn.Linear(6, 4), nn.Linear(1, 1)
        self.module = nn.ModuleDict({"encoder": self.encoder, "head": self.head})
        self.data = torch.randn(EXAMPLES, 6, generator=torch.Generator().manual_seed(1))
        self.scores = iter(scores)
        self.optimizer = build_optimizer(self.encoder, self.head, [], lr=1e-2, trunk_lr=1e-2, weight_decay=0.01)
        fit(self.module, self.optimizer, lambda: torch.tensor(0.05), self.encode, self.objective, self.validate,
            Schedule("pretrain", EXAMPLES, BATCH, EPOCHS, None, 0.2, 2, 3, 99), clip=clip, average=0.5, seed=5, folder=folder,
            run="r", before_step=self.before, on_step=self.after)  # fmt: skip

    def encode(self, views: Views, rng: np.random.Generator) -> Encoded:
        self.seen["encoder draws"].append(rng.random())
        return Encoded(F.normalize(self.encoder(self.data[np.array(views.texts, int)]), dim=1))

    def objective(self, rows: np.ndarray, rng: np.random.Generator, progress: float) -> Plan:
        self.seen["rows"].extend(rows.tolist())
        self.seen["objective draws"].append(rng.random())
        self.seen["progress"].append(progress)
        return Plan([Views([str(row) for row in rows], [None] * len(rows))], self.loss)

    def loss(self, encoded: Sequence[Encoded]) -> StepOutput:
        return StepOutput({"a": encoded[0].vectors[:, 0].mean() + self.head.weight.sum()}, encoded[0].vectors)

    def validate(self) -> dict[str, float]:
        self.seen["training mode"].append(self.module.training)
        self.seen["weights"].append(self.encoder.bias.detach().clone())
        return {"score": next(self.scores)}

    def before(self, step: int) -> dict[str, float]:
        self.seen["steps"].append(step)
        return {}

    def after(self, step: int, total: int, text: str) -> None:
        self.seen["rates"].append(self.optimizer.param_groups[1]["lr"])


def test_step_by_step(tmp_path: Path) -> None:
    clip = 1e-3
    training = Training(tmp_path, [0.1, 0.9, 0.2, 0.3, 0.4], clip)
    seen = training.seen
    first, second = seen["rows"][:EXAMPLES], seen["rows"][EXAMPLES:]
    assert sorted(first) == sorted(second) == list(range(EXAMPLES))
    assert first != second
    assert list(range(EXAMPLES)) not in (first, second)
    assert len(set(seen["objective draws"])) == len(set(seen["encoder draws"])) == STEPS
    assert seen["progress"] == [step / STEPS for step in range(STEPS)]
    assert seen["steps"] == list(range(STEPS))
    assert seen["training mode"] == [False] * 5
    assert seen["rates"] == pytest.approx([1e-2 * rate(step, STEPS, 2) for step in range(STEPS)])
    norm = torch.stack([p.grad.square().sum() for p in training.module.parameters() if p.grad is not None]).sum().sqrt()
    assert norm.item() == pytest.approx(clip, rel=1e-2)
    kept = training.encoder.bias.detach()
    torch.testing.assert_close(kept, seen["weights"][1], rtol=0, atol=0, msg="the best by validation, not the last")


def test_heads_learn(tmp_path: Path) -> None:
    torch.manual_seed(0)
    nn.Linear(6, 4)
    start = nn.Linear(1, 1).weight.item()
    assert abs(Training(tmp_path, range(5), clip=1.0).head.weight.item() - start) > 1e-3


def test_collapse_stops_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def collapsed(self: Training, views: Views, rng: np.random.Generator) -> Encoded:
        return Encoded(F.normalize(self.encoder(torch.ones(len(views), 6)), dim=1))

    monkeypatch.setattr(Training, "encode", collapsed)
    monkeypatch.setattr(monitor, "ENOUGH", BATCH)
    with pytest.raises(UserError, match="collapsed"):
        Training(tmp_path, range(5), clip=1.0)


def test_rates_and_decay_of_each_group() -> None:
    fusion, heads, trunk = nn.Linear(3, 2), nn.Linear(2, 2), nn.Linear(4, 4)
    optimizer = build_optimizer(fusion, heads, [trunk], lr=0.1, trunk_lr=0.01, weight_decay=0.5)
    found = {id(p): (group["peak"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    assert [found[id(parameter)] for module in (fusion, heads, trunk) for parameter in module.parameters()] == [
        (0.1, 0.5), (0.1, 0), (0.1, 0), (0.1, 0), (0.01, 0.5), (0.01, 0),
    ]  # fmt: skip
