"""The bookkeeping of benchmarks/ablation.py: what is known is not run again, what is not comparable is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ablation
import pytest
import yaml
from arm_runs import ArmRun, add_run, read_runs

Ran = list[tuple[str, int]]


@pytest.fixture
def arms(tmp_path: Path) -> list[str]:
    """`far` starts from `near`, which starts from `plain`; `other` from none."""
    runs = tmp_path / "runs"
    changes: dict[str, dict[str, Any]] = {
        "plain": {},
        "near": {"pretrain": None, "posttrain": {"start": str(runs / "plain" / "posttrain" / "encoder")}},
        "far": {"pretrain": None, "posttrain": {"start": str(runs / "near" / "posttrain" / "encoder")}},
        "other": {},
    }
    for name, change in changes.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "workdir": str(runs / name), **change}))
    return [str(tmp_path / f"{name}.yaml") for name in changes]


@pytest.fixture
def ablate(arms: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Call the script on some arms; returns what it had to run. Every run finds the share that is its seed's, over ten."""

    def call(*words: str, data: str = "here", asked: str = "a") -> Ran:
        ran: Ran = []

        def run_all(runs: list[tuple[Path, int]], overrides: list[str], jobs: int) -> Iterator[tuple[tuple[Path, int], Any]]:
            for path, seed in runs:
                ran.append((path.stem, seed))
                yield (path, seed), (seed, data, asked)

        monkeypatch.setattr(ablation, "run_all", run_all)
        monkeypatch.setattr(ablation, "data_of", lambda recipe: data)
        monkeypatch.setattr(sys, "argv", ["ablation.py", *words])
        monkeypatch.setattr(ArmRun, "of", classmethod(lambda cls, arm, settings, found: line(arm, settings, *found)))
        ablation.main()
        return ran

    return call


def line(arm: str, settings: str, seed: int, data: str = "here", asked: str = "a") -> ArmRun:
    metrics = {direction: {"recall@10": seed / 10} for direction in ablation.DIRECTIONS.values()}
    return ArmRun(arm=arm, seed=seed, settings=settings, data=data, asked=asked, made="2026-01-01", device="cpu", torch="2",
                  metrics=metrics, classes=None, attributes=None, ranks=dict.fromkeys(ablation.VIEWS, 9.0))  # fmt: skip


def test_a_table_grows_by_what_is_not_known(arms: list[str], ablate: Callable[..., Ran], tmp_path: Path) -> None:
    plain = arms[0]
    assert ablate(plain, "--seeds", "0") == [("plain", 0)]
    assert ablate(plain, "--seeds", "0", "1") == [("plain", 1)]
    assert ablate(plain, "posttrain.epochs=3", "--seeds", "1") == [("plain", 1)], "other settings"
    assert ablate(plain, "--seeds", "1", data="made again") == [("plain", 1)], "other data"
    assert ablate(plain, f"workdir={tmp_path / 'runs' / 'elsewhere'}", "--seeds", "0", "1") == []
    assert len(read_runs(tmp_path / "runs" / "runs.jsonl")) == 4
    assert "| plain | 2 | 0.050 ± 0.071 |" in (tmp_path / "runs" / "table.md").read_text()


def test_what_an_arm_starts_from_is_there(arms: list[str], ablate: Callable[..., Ran]) -> None:
    chain = arms[:3]
    assert ablate(*chain, "--seeds", "0") == [("plain", 0), ("near", 0), ("far", 0)]
    assert ablate(*chain, "--seeds", "0") == []
    assert ablate(*chain, "--seeds", "0", "1") == [("plain", 1), ("near", 1), ("far", 1)]
    plain = Path(chain[0])
    plain.write_text(plain.read_text() + "pretrain: {epochs: 3}\n")
    assert ablate(*chain, "--seeds", "0") == [("plain", 0), ("near", 0), ("far", 0)], "of another stage 1"


def test_a_known_start_is_made_where_an_arm_needs_its_encoder(arms: list[str], ablate: Callable[..., Ran]) -> None:
    assert ablate(*arms[:2], "--seeds", "0") == [("plain", 0), ("near", 0)]
    assert ablate(*arms[:3], "--seeds", "0") == [("plain", 0), ("near", 0), ("far", 0)]


def test_what_was_asked_otherwise_is_refused(arms: list[str], ablate: Callable[..., Ran]) -> None:
    plain, other = arms[0], arms[3]
    ablate(plain, "--seeds", "1")
    for _ in range(2):  # with a run of it, and at once where both are known
        with pytest.raises(SystemExit, match=r"other \(seed 1\) and plain \(seed 1\) did not learn from the same data, or"):
            ablate(plain, other, "--seeds", "1", asked="b")


def test_seeds_that_were_asked_otherwise_are_refused(arms: list[str], ablate: Callable[..., Ran]) -> None:
    ablate(arms[0], "--seeds", "1")
    with pytest.raises(SystemExit, match=r"plain \(seed 1\) and plain \(seed 2\) did not learn from the same data, or"):
        ablate(arms[0], "--seeds", "1", "2", asked="b")


def test_a_run_has_one_line_and_a_broken_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    for arm in ("b", "a", "b"):
        add_run(path, line(arm, "s", 2))
    assert [run.arm for run in read_runs(path)] == ["a", "b"]
    path.write_text(path.read_text() * 2)
    assert [run.arm for run in read_runs(path)] == ["a", "b"]
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(SystemExit, match="line 5: not what a run found"):
        read_runs(path)


def test_arms_of_one_name_are_refused(arms: list[str], ablate: Callable[..., Ran], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ablate(arms[0], arms[0])
    assert "two arms are called the same" in capsys.readouterr().err


KEPT = sorted((Path(__file__).parent.parent / "recipes" / "expected").glob("ablation-*.jsonl"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_what_is_kept_belongs_to_the_arms_as_they_are(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of recipes that have changed since would vanish from the table without a word."""
    monkeypatch.setenv("OPENMOON_BASE", path.stem.removeprefix("ablation-"))
    runs = read_runs(path)
    assert path.read_text().splitlines() == [run.model_dump_json() for run in runs], "one line a run, in order"
    for arm in {run.arm for run in runs}:
        recipe = path.parent.parent / "ablation" / f"{arm}.yaml"
        assert {run.settings for run in runs if run.arm == arm} == {ablation.identity(recipe, [])}, arm
