"""What is written about learnt behaviour reads back; what is not known stays unknown."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmoon.errors import UserError
from openmoon.learnt import NO_BEHAVIOUR, from_text, latest, to_text

HERE = Path("config.json")


@given(st.datetimes())
def test_moments_read_back(moment: datetime) -> None:
    assert from_text(to_text(moment), HERE) == moment
    assert latest(NO_BEHAVIOUR, moment) == moment


def test_no_behaviour_is_the_empty_text_and_before_everything() -> None:
    assert to_text(NO_BEHAVIOUR) == ""
    assert from_text("", HERE) == NO_BEHAVIOUR == latest(NO_BEHAVIOUR, NO_BEHAVIOUR)
    assert datetime(1, 1, 1, 0, 0, 1) > NO_BEHAVIOUR


def test_one_unknown_makes_all_unknown() -> None:
    assert latest(None, datetime(2025, 6, 1)) is None


def test_zones_become_utc_and_what_is_no_time_is_named() -> None:
    assert from_text("2025-06-01T02:00:00+02:00", HERE) == datetime(2025, 6, 1)
    with pytest.raises(UserError, match=r"config\.json: learnt_until is 'June', expected a time in ISO 8601"):
        from_text("June", HERE)
