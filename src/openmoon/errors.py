"""The one exception that means "the user can fix this": the CLI prints its message and exits, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something in the user's files, recipe or command is wrong.

    The message is one line that names the file, the field and the value, says what was expected and what to do.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """`" Did you mean 'x'?"` for the known name closest to `word`, or an empty string."""
    match = closest(word, known)
    return f" Did you mean {match!r}?" if match else ""


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name most like `word`, whatever their case; None where none is alike to `cutoff` (0..1)."""
    lowered = {name.lower(): name for name in reversed(list(known))}
    found = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=cutoff)
    return lowered[found[0]] if found else None
