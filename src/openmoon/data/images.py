"""One picture file → one upright RGB array, or a reason why not."""

from __future__ import annotations

import errno
import os
import re
import stat
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

# Formats that shops and phones produce. Others (EPS, FITS …) start external programs or are not photographs.
Image.init()
FORMATS = tuple(name for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM") if name in Image.OPEN)

# EXIF orientation → what makes the picture upright (1 is upright already)
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


_ADDRESS = re.compile(r"(?:^|/)(?:https?|ftp|s3|gs):/", re.IGNORECASE)  # a path keeps one of the two slashes


class ImageRejected(Exception):
    """This picture cannot be used; the message is the reason."""


def load_image(source: Path | bytes, size: int | None) -> npt.NDArray[np.uint8]:
    """Decode a picture to (H, W, 3) uint8 RGB, upright as its EXIF orientation says.

    With `size`, the shorter side is resized to `size` and the centre size×size square is kept; `None` keeps every
    pixel. Transparency is laid over white; grayscale, palette, CMYK and 16-bit pictures become RGB; of an animation the
    first frame is taken. Raises `ImageRejected` for a file that is missing, empty, truncated, not a picture, or has
    more pixels than `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    data = source if isinstance(source, bytes) else read_file(source)
    if not data:
        raise ImageRejected("empty file (0 bytes)")
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            limit = Image.MAX_IMAGE_PIXELS
            if limit and image.width * image.height > limit:
                raise ImageRejected(f"{image.width}×{image.height} pixels, more than the limit of {limit:,}")
            if size:
                image.draft(None, (size, size))  # JPEG: decode at 1/2, 1/4 or 1/8, never below size×size
            return pixels_of(image, size)
    except ImageRejected:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRejected(f"too many pixels: {error}") from error
    except UnidentifiedImageError as error:
        raise ImageRejected(f"not a picture, or none of {', '.join(FORMATS)}") from error
    except Exception as error:  # on malformed files Pillow's decoders raise almost anything
        raise ImageRejected(f"cannot be decoded: {error or type(error).__name__}") from error


def load_limited(source: Path, side: int) -> npt.NDArray[np.uint8]:
    """The whole picture (H, W, 3), made smaller where its longer side has more than `side` pixels. Raises `ImageRejected`."""
    picture = Image.fromarray(load_image(source, None))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def regular_file(path: Path) -> os.stat_result:
    """The status of a file. Raises `OSError` where there is none and for what is no file: a folder, a pipe that nobody writes to,
    a device that never ends; `ValueError` for a name that no file can have."""
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is a pipe or a device, not a file", str(path))
    return status


def read_file(path: Path) -> bytes:
    """The bytes of a picture file. Raises `ImageRejected` where there are none to be had."""
    try:
        regular_file(path)
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL byte
        raise ImageRejected(why_unread(path, error)) from error


def why_unread(path: Path, error: OSError | ValueError) -> str:
    """The reason that `rejected.parquet` gives for a file that cannot be read."""
    if _ADDRESS.search(str(path)):
        return "is an address; pictures are read from files: download them and name the files"
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged metadata, of which Pillow may raise anything, is no reason to lose the photo
        return None


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB; transparency is laid over white."""
    if image.mode.startswith(("I", "F")):
        return _from_deep(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float pictures to 8 bits; their white is 1, 255 or 65535, whichever the values fit."""
    values = np.nan_to_num(np.asarray(image, np.float32))
    white = 65535 if image.mode.startswith("I;16") else next((w for w in (1, 255) if values.max() <= w), 65535)
    return Image.fromarray((np.clip(values / white, 0, 1) * 255).round().astype(np.uint8))


def pixels_of(image: Image.Image, size: int | None) -> npt.NDArray[np.uint8]:
    """An opened picture as `load_image` gives it."""
    turn = _turn(image)
    upright = to_rgb(image)
    if size:
        upright = _centre(upright)
    if turn is not None:
        upright = upright.transpose(turn)
    return resized(np.array(upright), size) if size else np.asarray(upright)


def _centre(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image if image.width == image.height else image.crop((left, top, left + side, top + side))


def resized(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """A square (S, S, 3) → (size, size, 3), by cubic splines that are widened where it shrinks.

    By torch, which needs half of Pillow's time and gives what `PIL.Image.resize` gives, to the rounding.
    """
    import torch.nn.functional as F
    from torch import from_numpy

    square = from_numpy(pixels).unsqueeze(0).permute(0, 3, 1, 2)  # numpy's [None] would hide that channels come last
    return F.interpolate(square, (size, size), mode="bicubic", antialias=True).permute(0, 2, 3, 1).contiguous().numpy()[0]
