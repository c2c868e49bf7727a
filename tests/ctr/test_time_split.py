"""Train, validation and test in order of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from pydantic import ValidationError

from openmoon.config.ctr import TimeSplitConfig
from openmoon.ctr.time_split import GAP, TEST, TRAIN, VAL, time_split
from openmoon.errors import UserError

START = datetime(2024, 3, 1)
TIMES = np.array([(START + timedelta(hours=n)).replace(tzinfo=UTC).timestamp() for n in range(100)], np.int64)
ONES = np.ones(100, np.int64)


def split(config: dict[str, object], times: np.ndarray = TIMES, counts: np.ndarray = ONES) -> np.ndarray:
    return time_split(times, counts, TimeSplitConfig.model_validate(config))[0]


def test_shares_are_of_the_impressions() -> None:
    assert np.bincount(split({"val": 0.1, "test": 0.2, "gap": 0})).tolist() == [70, 10, 20]
    counts = np.where(np.arange(100) < 50, 1, 9)  # 500 impressions
    found = split({"val": 0.1, "test": 0.2, "gap": 0}, counts=counts)
    shares = [counts[found == part].sum() / 500 for part in (TRAIN, VAL, TEST)]
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=9 / 500)
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=2))])
def test_moments_are_borders_and_belong_to_the_later_part(zone: timezone | None) -> None:
    val, test = START + timedelta(hours=60), START + timedelta(hours=80)
    if zone is not None:
        val, test = (moment.replace(tzinfo=UTC).astimezone(zone) for moment in (val, test))
    found = split({"val": val, "test": test, "gap": 0})
    assert found.tolist() == [TRAIN] * 60 + [VAL] * 20 + [TEST] * 20
    mixed = split({"val": 0.5, "test": test, "gap": 0})
    assert mixed.tolist() == [TRAIN] * 30 + [VAL] * 50 + [TEST] * 20


def test_the_gap_before_each_border_is_left_out_and_counted() -> None:
    config = TimeSplitConfig.model_validate(
        {"val": START + timedelta(hours=60), "test": START + timedelta(hours=80), "gap": 3}
    )
    found, counts = time_split(TIMES, 2 * ONES, config)
    assert found.tolist() == [TRAIN] * 57 + [GAP] * 3 + [VAL] * 17 + [GAP] * 3 + [TEST] * 20
    assert counts == {"in train": 114, "in val": 34, "in test": 40, "in the gaps, left out": 12}


def test_requests_at_one_moment_stay_together() -> None:
    times = TIMES[np.arange(100) // 10]
    found = split({"val": 0.15, "test": 0.15, "gap": 0}, times)
    for n in range(10):
        assert len(set(found[10 * n : 10 * n + 10])) == 1


@pytest.mark.parametrize(("val", "test"), [(START + timedelta(hours=80), START + timedelta(hours=80)),
                                           (START + timedelta(hours=90), 0.2)])  # fmt: skip
def test_val_not_before_test_is_refused(val: object, test: object) -> None:
    with pytest.raises(UserError, match="not before test"):
        split({"val": val, "test": test, "gap": 0})


@pytest.mark.parametrize(("changes", "part"), [
    ({"val": START}, "train"), ({"gap": 75}, "train"), ({"gap": 11}, "val"),
    ({"test": START + timedelta(hours=500)}, "test"),
])  # fmt: skip
def test_an_empty_part_is_refused_and_named(changes: dict[str, object], part: str) -> None:
    with pytest.raises(UserError, match=f"ctr.split: {part} is empty"):
        split({"val": 0.1, "test": 0.2, "gap": 0} | changes)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
@pytest.mark.parametrize("part", ["val", "test"])
def test_a_share_of_nothing_or_everything_is_refused(part: str, share: float) -> None:
    with pytest.raises(ValidationError, match="expected a share above 0 and below 1"):
        TimeSplitConfig.model_validate({part: share})
