"""What people hand to `encode`: strings, paths, pictures, or dictionaries of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from openmoon.data.text import is_torn
from openmoon.errors import UserError

Picture = Path | bytes | Image.Image | np.ndarray


class Input(NamedTuple):
    """One thing to encode; at least one part is there."""

    text: str | None
    image: Picture | None


def as_input(value: Any, index: int) -> Input:
    """Read one element of `encode`'s list; `index` is for the error message.

    A bare string is a text; a bare `Path`, the bytes of a file, a PIL image or an (H, W, 3) uint8 array is a picture;
    in a dictionary `image` may also be a path as a string. Empty texts count as missing. Raises `UserError` for anything else,
    for a text with half a character, and where neither part is there.
    """
    if isinstance(value, Mapping):
        if unknown := set(value) - {"text", "image"}:
            raise UserError(f"inputs[{index}]: unknown key {sorted(unknown)[0]!r}; expected 'text' and/or 'image'.")
        text, image = value.get("text"), value.get("image")
    else:
        text, image = (value, None) if isinstance(value, str) else (None, value)
    if text is not None and not isinstance(text, str):
        raise UserError(f"inputs[{index}].text: expected a string, got {type(text).__name__}.")
    if isinstance(image, str):
        image = Path(image)
    if image is not None and not isinstance(image, Picture):
        raise UserError(
            f"inputs[{index}].image: expected a path, bytes, a PIL image or a uint8 array, got {type(image).__name__}."
        )
    if isinstance(image, np.ndarray) and (image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size):
        raise UserError(f"inputs[{index}].image: expected an (H, W, 3) array of uint8, got {image.shape} of {image.dtype}.")
    text = text.strip() if text else None
    if text and is_torn(text):
        raise UserError(f"inputs[{index}].text: holds half a character (a lone surrogate): {text!r}.")
    if not text and image is None:
        raise UserError(f"inputs[{index}]: neither text nor picture; give at least one.")
    return Input(text or None, image)
