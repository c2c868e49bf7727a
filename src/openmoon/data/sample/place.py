"""Where a simulated shop is written: whole or not at all, and never over something else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from openmoon.errors import UserError
from openmoon.io import atomic_path


@contextmanager
def new_shop(out: Path, reads: Iterable[Path] = ()) -> Iterator[Path]:
    """Yield a folder that becomes `out` when the block succeeds; an earlier simulated shop there is replaced.

    Raises `UserError` if `out` is a file, a folder that is neither empty nor a simulated shop, or one that holds a file which the
    new shop `reads`.
    """
    out = Path(out)
    inside = next((path for path in reads if Path(path).resolve().is_relative_to(out.resolve())), None)
    if inside is not None:
        raise UserError(f"{out}: holds {inside}, which the new shop is made of; choose another folder.")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; a shop is written into a folder. Choose another place.")
    if out.is_dir() and any(out.iterdir()) and not ((out / "summary.json").is_file() and (out / "truth").is_dir()):
        raise UserError(
            f"{out}: the folder holds something that is not a simulated shop; choose an empty or a new one."
        )
    with atomic_path(out) as folder:
        folder.mkdir()
        yield folder
