"""Files that are either whole or absent: every result is written beside its place and renamed into it."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from polars.exceptions import ComputeError

from openmoon.errors import UserError

try:
    import fcntl
except ImportError:  # not a POSIX system: one process at a time is then the caller's duty
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"  # what a process holds while it works in a folder
STALE = 86_400  # seconds after which a temporary file was left by a killed write


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` (for a file or a folder); rename it to `path` when the block succeeds.

    On any failure the temporary is removed and `path` keeps what it held; a folder that is replaced is moved aside first. A
    full disk becomes a `UserError`.
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise UserError(f"{path}: is a folder that is there; name what is to be written in it.")
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        yield temporary
        _replace(temporary, path)
    except (OSError, ComputeError) as error:  # polars reports a failed write as ComputeError
        raise UserError(
            f"{path}: cannot be written ({getattr(error, 'strerror', None) or error}). What was there before is untouched; "
            "free some space or choose another place and run the same command again."
        ) from error
    finally:
        with suppress(OSError):  # what went wrong above is what matters
            _remove(temporary)


def _sweep(path: Path) -> None:
    """Remove what killed writes of `path` left behind; younger ones may belong to a process that still writes."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        with suppress(FileNotFoundError):  # another process may sweep too
            if left.suffix in (".tmp", ".old") and time.time() - left.stat().st_mtime > STALE:
                _remove(left)


def _replace(temporary: Path, path: Path) -> None:
    if temporary.is_dir() and path.exists():
        old = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
        os.rename(path, old)
        os.rename(temporary, path)
        _remove(old)
    else:
        os.replace(temporary, path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock file `path`, which is made if needed and not changed, while the block runs; a killed process lets it go.
    Raises `BlockingIOError` where another process holds it and `wait` is false."""
    with open(path, "a", encoding="utf-8") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep `folder`, which is made if needed, for this process while the block runs. Raises `UserError` where another one works
    in it: two would overwrite each other's checkpoints and logs."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(locked(folder / LOCK, wait=False))
        except BlockingIOError:
            raise UserError(f"{folder}: another process works here; wait for its end, or choose another workdir.") from None
        yield


def clear(folder: Path) -> None:
    """Remove what is in `folder`, which this process holds `alone`, but the lock."""
    for path in folder.iterdir():
        if path.name != LOCK:
            _remove(path)


def require_other_file(out: Path, option: str, inputs: Iterable[Path]) -> None:
    """`UserError` where what `option` names for writing is one of the files that are read."""
    for path in inputs:
        if path.exists() and out.exists() and path.samefile(out):
            raise UserError(f"{option} {out}: is read, and would be overwritten; name another file.")


def require_picture(out: Path, option: str, inputs: Iterable[Path]) -> None:
    """`UserError` where what `option` names for a PNG is called otherwise, such as a table by mistake, or is one of the pictures
    that are read."""
    if out.suffix.lower() != ".png":
        raise UserError(f"{option} {out}: is written as a PNG; name a file that ends in .png.")
    require_other_file(out, option, inputs)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path` atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def read_json(path: Path, *fields: str) -> dict[str, Any]:
    """The object that a run wrote to `path`. Raises `UserError` where it cannot be read or lacks one of `fields`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); it is damaged: remove its folder and run that step again.") from error
    if not isinstance(found, dict) or not found.keys() >= set(fields):
        raise UserError(f"{path}: expected a JSON object with {', '.join(fields)}; it is damaged: remove its folder and run that "
                        "step again.")  # fmt: skip
    return found


def hash_number(text: str) -> int:
    """A uniform number in 0..2⁶⁴ − 1 that follows from the text; the same on every machine and for every version of libraries."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def read_lines(path: Path) -> list[str]:
    """The lines of a list that hold something, without the space around them, or a byte order mark. `UserError` where it is not
    UTF-8."""
    try:
        return [line for row in path.read_text(encoding="utf-8-sig").splitlines() if (line := row.strip())]
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8.") from error


def content_hash(*parts: bytes | memoryview | str) -> str:
    """A 128-bit hex digest of the parts in order; `("ab", "c")` and `("a", "bc")` differ."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """`content_hash` of a file's bytes."""
    return content_hash(Path(path).read_bytes())
