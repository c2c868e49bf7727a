"""The one exception that means "the user can fix this": the CLI prints its message and exits, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something in the user's files, recipe or command is wrong.

    The message is one line that names the file, the field and the value, says what was expected and what to do.
    """


_WHAT_TO_DO: dict[type[OSError], str] = {
    FileExistsError: "a file stands where a folder has to be; move it, or name another place.",
    NotADirectoryError: "a file stands where a folder has to be; move it, or name another place.",
    IsADirectoryError: "a folder stands where a file has to be; move it, or name another place.",
    FileNotFoundError: "no such file or folder; make it, or name another place.",
    PermissionError: "this user may not read or write here; change the rights, or name another place.",
}


def explained(error: OSError) -> str:
    """What the system refused, as a line that names the file, what is wrong and what to do."""
    if error.filename is None or error.strerror is None:
        return str(error)
    advice = next((text for kind, text in _WHAT_TO_DO.items() if isinstance(error, kind)), f"{error.strerror}.")
    return f"{error.filename}: {advice}"


def nearest(word: str, known: Iterable[str]) -> str:
    """`" Did you mean 'x'?"` for the known name closest to `word`, or an empty string."""
    match = closest(word, known)
    return f" Did you mean {match!r}?" if match else ""


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name most like `word`, whatever their case; None where none is alike to `cutoff` (0..1)."""
    lowered = {name.lower(): name for name in reversed(list(known))}
    found = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=cutoff)
    return lowered[found[0]] if found else None
