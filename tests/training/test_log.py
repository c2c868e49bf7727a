"""What a killed run, or a power cut, leaves of a log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
