"""Expected metrics: written from seeds, and a run that misses them is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from openmoon.errors import UserError
from openmoon.evaluation.expected import LEAST, SPREADS, Expected
from openmoon.evaluation.results import Cell, RetrievalResult


def result(seed: int, recall: float, name: str = "sample", data: str = "abc") -> RetrievalResult:
    metrics = {"recall@1": recall, "recall@10": 0.9, "mrr": 0.5, "median_rank": 2.0}
    cell = Cell(query="text", item="rich", pool=5, queries=3, pairs=3, left_out=0,
                metrics={"untuned": None, "stage 2": metrics})  # fmt: skip
    return RetrievalResult(
        recipe={"name": name}, split="test", data_hash=data, seed=seed, versions={}, machine={}, pool=5, labels=3,
        unknown_products=0, systems=["untuned", "stage 2"], cells=[cell],
    )  # fmt: skip


def expected() -> Expected:
    return Expected.of([result(seed, recall) for seed, recall in enumerate((0.30, 0.40, 0.50))])


def test_ranges_are_mean_and_spread_of_the_seeds() -> None:
    ranges = expected().ranges["text → rich"]
    assert set(ranges) == {"stage 2"}
    assert ranges["stage 2"]["recall@1"].mean == pytest.approx(0.40)
    assert ranges["stage 2"]["recall@1"].tolerance == pytest.approx(SPREADS * 0.1)
    assert ranges["stage 2"]["mrr"].tolerance == LEAST
    assert len(expected()) == 3


def test_a_run_is_checked(tmp_path: Path) -> None:
    expected().save(tmp_path / "expected.json")
    loaded = Expected.load(tmp_path / "expected.json")
    assert loaded == expected()
    assert list(loaded.deviations(result(9, 0.69))) == []
    (found,) = loaded.deviations(result(9, 0.71))
    assert (found.direction, found.system, found.metric, found.found) == ("text → rich", "stage 2", "recall@1", 0.71)
    untrained = result(9, 0.4)
    untrained.cells[0].metrics.pop("stage 2")
    assert [d.found for d in loaded.deviations(untrained)] == [None] * 3


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    for other, field in ((result(9, 0.4, name="fashion"), "recipe"), (result(9, 0.4, data="xyz"), "data_hash")):
        with pytest.raises(UserError, match=f"^{field}: the result has"):
            list(expected().deviations(other))
    with pytest.raises(UserError, match="at least 3"):
        Expected.of([result(0, 0.4)])
    with pytest.raises(UserError, match="no expected metrics"):
        Expected.load(tmp_path / "nothing.json")
