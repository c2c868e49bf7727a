"""What the system refuses, in words for its user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from openmoon.errors import explained


@pytest.mark.parametrize(
    ("refused", "advice"),
    [
        (lambda folder: (folder / "file").mkdir(), "a file stands where a folder has to be"),
        (lambda folder: (folder / "file" / "inside").mkdir(), "a file stands where a folder has to be"),
        (lambda folder: (folder / "folder").read_text(), "a folder stands where a file has to be"),
        (lambda folder: (folder / "none").read_text(), "no such file or folder"),
    ],
)
def test_a_refusal_names_the_file_and_what_to_do(tmp_path: Path, refused: Callable[[Path], object], advice: str) -> None:
    (tmp_path / "file").write_text("notes")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="Errno") as caught:
        refused(tmp_path)
    assert str(caught.value.filename) in explained(caught.value)
    assert advice in explained(caught.value)
    assert explained(caught.value).endswith("name another place.")


def test_what_has_no_file_is_told_as_it_is() -> None:
    assert explained(OSError("the network is down")) == "the network is down"
    assert explained(OSError(28, "No space left on device", "/here")) == "/here: No space left on device."
