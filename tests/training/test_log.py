"""What a killed run, or a power cut, leaves of a log."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from openmoon.errors import UserError
from openmoon.training.log import MetricsLog

LINES = "".join(json.dumps({"stage": "s", "step": step}) + "\n" for step in (1, 2, 3))


TORN = ['{"stage": "s", "step": 2}', '{"stage": "s", "st', "\0\0\n", '{"stage": "s"}\n', "[]\n", "\udcff\n"]


@pytest.mark.parametrize("left", TORN)
def test_what_is_no_whole_line_goes_and_the_next_one_stands_alone(tmp_path: Path, left: str) -> None:
    (tmp_path / "metrics.jsonl").write_bytes((LINES + left).encode(errors="surrogateescape"))
    log = MetricsLog(tmp_path, "s", 2)
    log.write(3, loss=1.0)
    log.close()
    found = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [one["step"] for one in found] == [1, 2, 3]
    assert found[-1]["loss"] == 1.0


def test_tensorboard_reads_what_was_written_and_a_resumed_run_replaces_later_steps(tmp_path: Path) -> None:
    for start, values in ((0, (1.0, 2.0, 3.0)), (2, (5.0,))):
        log = MetricsLog(tmp_path, "stage", start)
        for step, value in enumerate(values, start + 1):
            log.write(step, loss=value, losses={"a": value / 2}, text="no number")
        log.close()
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert board.Tags()["scalars"] == ["stage/loss", "stage/losses.a"]
    assert [(one.step, one.value) for one in board.Scalars("stage/loss")] == [(1, 1.0), (2, 2.0), (3, 5.0)]


def test_no_room_for_the_log_is_one_line(tmp_path: Path) -> None:
    """A real limit on the size of files."""
    log = MetricsLog(tmp_path, "stage", 0)
    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limit[1]))
    try:
        with pytest.raises(UserError, match=r"metrics\.jsonl: the log cannot be written \(File too large\); free some space"):
            log.write(1, loss=1.0, note="x" * 300)
        log.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
