"""What the arms of an ablation share, and in which order they run; the steps themselves are replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import seeded
import yaml

from openmoon.config import Recipe
from openmoon.errors import UserError

Done = list[tuple[str, str]]  # step, and the name of the folder in which it was taken


@pytest.fixture
def arms(tmp_path: Path) -> list[Path]:
    runs = tmp_path / "runs"
    made = {"coaugment": 0.3}
    changes: dict[str, dict[str, Any]] = {
        "far": {"pretrain": None, "posttrain": {"start": str(runs / "near" / "posttrain" / "encoder")}},
        "near": {"pretrain": None, "posttrain": {"start": str(runs / "plain" / "posttrain" / "encoder")}},
        "plain": {},
        "bare": {"pretrain": None},
        "made": {"posttrain": made},
        "routed": {"posttrain": made, "encoder": {"fusion": {"experts": 2}}},
        "ungated": {"posttrain": made, "augment": {"nearer": 0}},
        "longer": {"pretrain": {"epochs": 11}},
    }
    for name, change in changes.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "workdir": str(runs / name), **change}))
    return [tmp_path / f"{name}.yaml" for name in changes]


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Done:
    """The steps that were taken. Stage 1 and co-augmentation leave what tells that they are there."""
    steps: Done = []

    def pretrain(recipe: Recipe) -> None:
        steps.append(("pretrain", recipe.workdir.name))
        (recipe.workdir / "pretrain").mkdir(parents=True)

    def augment(recipe: Recipe, judge: Path | None) -> None:
        steps.append(("augment", recipe.workdir.name))
        assert judge is not None
        assert judge.is_dir()
        (recipe.workdir / "augmented").mkdir(parents=True)
        (recipe.workdir / "augmented" / "augmented.parquet").touch()

    def posttrain(recipe: Recipe) -> None:
        steps.append(("posttrain", recipe.workdir.name))
        assert recipe.posttrain is not None
        if recipe.posttrain.start is not None:
            assert recipe.posttrain.start.is_dir(), "what an arm starts from is there"
        (recipe.workdir / "posttrain" / "encoder").mkdir(parents=True)

    def trained(recipe: Recipe, stage: str) -> Path | None:
        return folder if (folder := recipe.workdir / stage).is_dir() else None

    monkeypatch.setattr(seeded, "_apart", lambda call, *arguments: call(*arguments))
    for name, step in (("pretrain", pretrain), ("augment", augment), ("posttrain", posttrain), ("trained_folder", trained),
                       ("starting_folder", lambda recipe: trained(recipe, "pretrain")), ("evaluate", lambda recipe: None),
                       ("_measured", lambda path, overrides, seed: seeded._run(path, overrides, seed, True))):  # fmt: skip
        monkeypatch.setattr(seeded, name, step)
    return steps


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_agrees_is_made_once_and_before_it_is_needed(arms: list[Path], done: Done, jobs: int) -> None:
    list(seeded.run_all([(path, seed) for seed in (0, 1) for path in arms], [], jobs))
    count = {step: sum(name == step for name, _ in done) for step in ("pretrain", "augment", "posttrain")}
    assert count == {"pretrain": 4, "augment": 4, "posttrain": 16}
    assert len(set(done)) == len(done)
    runs = arms[0].parent / "runs"
    where: Callable[[str, str], Path] = lambda arm, step: (runs / arm / step).resolve()  # noqa: E731
    assert where("plain-seed0", "pretrain") == where("made-seed0", "pretrain") == where("routed-seed0", "pretrain")
    assert len({where(f"{arm}-seed{seed}", "pretrain") for arm in ("plain", "longer") for seed in (0, 1)}) == 4
    assert where("made-seed0", "augmented") == where("routed-seed0", "augmented") != where("ungated-seed0", "augmented")
    assert not any((runs / f"{arm}-seed0" / "augmented").is_symlink() for arm in ("plain", "longer", "bare"))


def test_a_folder_that_a_run_of_its_own_made_is_not_taken_away(arms: list[Path], done: Done) -> None:
    plain = next(path for path in arms if path.stem == "plain")
    seeded.run(plain, [], 0)
    assert done == [("pretrain", "plain-seed0"), ("posttrain", "plain-seed0")]
    with pytest.raises(UserError, match="plain-seed0/pretrain: holds what a run of its own made"):
        list(seeded.run_all([(plain, 0)], []))
