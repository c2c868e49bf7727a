"""How late the behaviour is that an encoder has learnt from: what is measured on later events, it has not seen.

A moment is a naive datetime in UTC, as in the events. `NO_BEHAVIOUR` is before all of them, so that comparisons and `max` need no
special case; None stands for not known. As a text it is ISO 8601, "" for no behaviour.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from openmoon.errors import UserError

KEY = "learnt_until"  # in an encoder's config.json, and in the metadata of vectors tables
NO_BEHAVIOUR = datetime.min


def naive_utc(moment: datetime) -> datetime:
    """The moment without a zone; one that names none is taken for UTC."""
    try:
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except OverflowError:
        raise ValueError(f"{moment} lies outside the calendar of UTC, years 1 to 9999") from None


def latest(*moments: datetime | None) -> datetime | None:
    """The latest of the moments; not known where one of them is not."""
    known = [moment for moment in moments if moment is not None]
    return max(known, default=NO_BEHAVIOUR) if len(known) == len(moments) else None


def to_text(moment: datetime) -> str:
    """ISO 8601, "" for `NO_BEHAVIOUR`."""
    return "" if moment == NO_BEHAVIOUR else moment.isoformat()


def from_text(text: str, source: Path) -> datetime:
    """The moment that `to_text` wrote. Raises `UserError`, naming the file `source`, where the text is none."""
    try:
        return naive_utc(datetime.fromisoformat(text)) if text else NO_BEHAVIOUR
    except ValueError as error:
        raise UserError(f"{source}: {KEY} is {text!r}, expected a time in ISO 8601, or nothing where no behaviour was learnt "
                        "from; make the file again.") from error  # fmt: skip


def saved_learnt_until(folder: Path) -> datetime | None:
    """What the saved encoder in `folder` has learnt from; None where it does not say (an older openmoon or another program wrote
    it)."""
    path = Path(folder) / "config.json"
    saved = json.loads(path.read_text(encoding="utf-8"))
    return from_text(str(saved[KEY] or ""), path) if KEY in saved else None
