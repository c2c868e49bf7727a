"""What a step keeps for a while is in a folder of its own, and nobody else's files are touched."""

from __future__ import annotations

from pathlib import Path

import torch.multiprocessing as mp

from openmoon.builders.systems import SCRATCH, scratch_folder
from openmoon.io import alone


def test_only_what_killed_runs_left_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    mine, left, busy = out / "scratch" / "notes.txt", out / f"{SCRATCH}-left", out / f"{SCRATCH}-busy"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    left.mkdir()
    (left / "tokens").write_text("x")
    with alone(busy), scratch_folder(out) as first, scratch_folder(out) as second:
        assert first != second
        (first / "tokens").write_text("x")
        assert (second.is_dir(), busy.is_dir(), left.exists()) == (True, True, False)
    assert not first.exists()
    assert not second.exists()
    assert mine.read_text() == "mine"


def _often(rank: int, folder: str) -> None:
    for _ in range(40):
        with scratch_folder(Path(folder)) as mine:
            (mine / "tokens").write_text("x")


def test_processes_do_not_disturb_each_other(tmp_path: Path) -> None:
    mp.start_processes(_often, (str(tmp_path),), nprocs=3, start_method="spawn")
    assert not list(tmp_path.glob(f"{SCRATCH}-*"))
