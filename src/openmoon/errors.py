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
    lowered = {name.lower(): name for name in reversed(list(known))}
    match = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return f" Did you mean {lowered[match[0]]!r}?" if match else ""
