"""The one exception that means "the user can fix this": the CLI prints its message and exits, without a traceback."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something in the user's files, recipe or command is wrong.

    The message is one line that names the file, the field and the value, says what was expected and what to do.
    """


@contextmanager
def one_line() -> Iterator[None]:
    """A user's mistake in what is done inside is one line on stderr and exit status 2."""
    try:
        yield
    except (UserError, OSError) as error:  # a file that cannot be read or written is the user's to mend as well
        print(f"error: {explained(error) if isinstance(error, OSError) else error}", file=sys.stderr)
        raise SystemExit(2) from None
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        print(f"error: the GPU has too little free memory ({str(error).splitlines()[0]}); set chunk of "
              "the stage (posttrain.chunk) to 256 or less, lower embed.batch_size, or set OPENMOON_DEVICE=cpu.",
              file=sys.stderr)  # fmt: skip
        raise SystemExit(2) from None


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
