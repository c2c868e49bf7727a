"""Checkpoints: one file, written whole or not at all, from which a killed run goes on to the same losses."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from openmoon.errors import UserError
from openmoon.io import atomic_path

FORMAT = 2  # raise it when what is saved is named or meant otherwise


def save_checkpoint(path: Path, run: str, state: dict[str, Any]) -> None:
    """Write `state` for the run identified by `run` (hash of recipe and data)."""
    whole = io.BytesIO()  # torch's own writer does not raise OSError when the disk is full
    torch.save({"format": FORMAT, "run": run, "state": state}, whole)
    with atomic_path(path) as temporary:
        temporary.write_bytes(whole.getbuffer())


def load_checkpoint(path: Path, run: str) -> dict[str, Any] | None:
    """The state at `path`, or None where there is none.

    Raises `UserError` when it was written by another version, or by a run with another recipe or other data.
    """
    if not path.exists():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on a damaged file the unpickler raises almost anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: not a readable checkpoint ({reason}); delete it or start with --fresh.") from error
    found = saved.get("format") if isinstance(saved, dict) else None
    if found != FORMAT:
        raise UserError(f"{path}: checkpoint format is {found!r}, this openmoon reads {FORMAT}; "
                        "go on with the version that wrote it, or start with --fresh.")  # fmt: skip
    if saved.get("run") != run or "state" not in saved:
        raise UserError(f"{path}: was written with another recipe or other data; go on with those, choose another workdir, "
                        "or start over with --fresh.")  # fmt: skip
    return saved["state"]
