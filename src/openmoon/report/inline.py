"""Pictures inside the page itself, as data URIs, so that a report is one file."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

from PIL import Image

from openmoon.data.images import ImageRejected, load_image

SIDE = 200  # longest side of a thumbnail in pixels


def data_uri(content: bytes, media_type: str) -> str:
    """`content` as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def thumbnail(path: str | Path | None) -> str | None:
    """A picture as a JPEG data URI of at most `SIDE` pixels a side; None when there is none or it cannot be read."""
    if path is None:
        return None
    try:
        picture = Image.fromarray(load_image(Path(path), None))
    except ImageRejected:
        return None
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    out = BytesIO()
    picture.save(out, "JPEG", quality=80, optimize=True)
    return data_uri(out.getvalue(), "image/jpeg")
