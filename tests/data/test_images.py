"""Every kind of picture file becomes upright RGB, or a reason."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from openmoon.data.images import ImageRejected, load_image, resized


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(mode: str = "RGB", width: int = 60, height: int = 40) -> Image.Image:
    """Bright towards the right, red towards the bottom: every turn and flip looks different."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([y, x, x], -1).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "PNG"), ("L", "JPEG"), ("P", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("CMYK", "TIFF"), ("RGBA", "PNG"),
     ("LA", "PNG"), ("1", "PNG"), ("RGB", "WEBP"), ("RGB", "BMP"), ("YCbCr", "JPEG")],
)  # fmt: skip
def test_every_mode_becomes_rgb(mode: str, kind: str) -> None:
    image = gradient(mode)
    pixels = load_image(encoded(image, kind), None)
    assert pixels.shape == (40, 60, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - np.asarray(image.convert("RGB"), int)).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [None, 20])
def test_exif_orientation_is_undone(orientation: int, size: int | None) -> None:
    upright = gradient()
    turned = {  # what a camera stores for each orientation: the inverse of what makes it upright
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(turned[orientation]) if orientation in turned else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = load_image(encoded(stored, "PNG", exif=exif), size)
    expected = load_image(encoded(upright, "PNG"), size)
    assert np.abs(pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_does_not_cost_the_photo(kind: str) -> None:
    assert load_image(encoded(gradient(), kind, exif=b"Exif\0\0garbage"), 8).shape == (8, 8, 3)


def test_transparency_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    assert (load_image(encoded(clear, "PNG"), None) == 255).all()
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([200, 0, 0])
    assert (load_image(encoded(palette, "PNG", transparency=0), None) == 255).all()


def test_sixteen_bits_keep_their_brightness() -> None:
    deep = np.tile(np.linspace(0, 65535, 60).astype(np.uint16), (40, 1))
    pixels = load_image(encoded(Image.fromarray(deep), "PNG"), None)
    assert np.abs(pixels[0, :, 0] - deep[0] / 257).max() <= 1
    floats = Image.fromarray((deep / 65535).astype(np.float32))
    assert np.abs(load_image(encoded(floats, "TIFF"), None)[0, :, 0] - deep[0] / 257).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize(("width", "height"), [(640, 400), (400, 640), (32, 32), (7, 300), (1, 1)])
def test_size_is_a_centre_crop_of_the_resized_picture(kind: str, width: int, height: int) -> None:
    image = gradient(width=width, height=height)
    pixels = load_image(encoded(image, kind), 32)
    assert pixels.shape == (32, 32, 3)
    side = min(width, height)
    box = ((width - side) // 2, (height - side) // 2, (width + side) // 2, (height + side) // 2)
    expected = np.asarray(image.crop(box).resize((32, 32), Image.Resampling.BICUBIC), int)
    assert np.abs(pixels - expected).mean() < 4


@pytest.mark.parametrize("side", [20, 33, 100, 301])
def test_pixels_are_those_of_a_widened_bicubic_filter(side: int) -> None:
    """To the rounding, in float64 as well as by Pillow, whose kernel has the same slope."""
    noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    found = resized(noise, 33).astype(int)
    by_pillow = np.asarray(Image.fromarray(noise).resize((33, 33), Image.Resampling.BICUBIC), int)
    assert abs(found - by_pillow).max() <= 1
    calm = (noise // 4) + 96  # nothing leaves 0..255 between the two passes
    exact = F.interpolate(torch.from_numpy(calm).permute(2, 0, 1)[None].double(), (33, 33), mode="bicubic", antialias=True)
    assert abs(resized(calm, 33) - exact[0].permute(1, 2, 0).round().numpy()).max() <= 1


def whole() -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    return encoded(Image.fromarray(noise), "JPEG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty file"), (b"<html>not found</html>", "not a picture"), (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture"),
     (whole()[:1500], "truncated"), (encoded(gradient(), "PNG")[:120], "cannot be decoded")],
)  # fmt: skip
def test_bad_files_give_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageRejected, match=reason):
        load_image(data, 32)


@pytest.mark.parametrize("limit", [63 * 64, 20 * 64])  # Pillow warns above the limit and raises above twice the limit
def test_decompression_bombs_are_rejected(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ImageRejected, match=r"pixels"):
        load_image(whole(), 32)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(ImageRejected, match="cannot be read"):
            load_image(path, 32)
