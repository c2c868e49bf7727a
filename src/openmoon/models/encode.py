"""Inputs → vectors as a stream: pictures are decoded ahead by threads, texts are bucketed by length, memory is bounded.

The stream works in windows of `WINDOW` batches: a window is tokenised, sorted by length, computed batch by batch and given
back in the order it came. While a batch is in the trunks, the next pictures are being decoded (Pillow releases the GIL).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from openmoon.data.images import ImageRejected, load_image, square, to_rgb
from openmoon.errors import UserError
from openmoon.models.encoder import ProductEncoder
from openmoon.models.inputs import Input, Picture
from openmoon.models.tokens import Tokens

WINDOW = 16  # batches
Unreadable = Callable[[int, str], None]
"""Told the number of an input whose picture cannot be used, and why."""


def encode_stream(
    encoder: ProductEncoder,
    inputs: Iterable[Input],
    batch_size: int = 32,
    workers: int = 2,
    on_unreadable: Unreadable | None = None,
) -> Iterator[np.ndarray]:
    """Yield the vectors of `inputs` in order, in float32 arrays of up to `batch_size` rows.

    An unreadable picture raises `UserError`; with `on_unreadable` it is reported there and counts as missing, and an
    input with nothing else gets a vector of NaN.
    """
    done = 0
    remaining = iter(inputs)
    with ThreadPoolExecutor(workers) as pool:
        while window := list(islice(remaining, WINDOW * batch_size)):
            yield from _encode_window(encoder, window, done, batch_size, pool, on_unreadable)
            done += len(window)


def _encode_window(
    encoder: ProductEncoder, window: list[Input], first: int, batch_size: int, pool: ThreadPoolExecutor,
    on_unreadable: Unreadable | None,
) -> Iterator[np.ndarray]:  # fmt: skip
    texts = [i.text for i in window if i.text is not None]
    tokenised = iter(encoder.text.tokenize(texts) if texts else [])
    ids = [next(tokenised) if i.text is not None else [] for i in window]
    order = np.argsort([len(tokens) for tokens in ids], kind="stable")
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    vectors = np.empty((len(window), encoder.dim), np.float32)
    ahead = _decode(pool, window, batches[0], encoder.image_size)
    for number, rows in enumerate(batches):
        decoding = ahead
        if number + 1 < len(batches):
            ahead = _decode(pool, window, batches[number + 1], encoder.image_size)
        pictures = [_result(f, first + row, window[row], on_unreadable) for f, row in zip(decoding, rows, strict=True)]
        vectors[rows] = encode_batch(encoder, [ids[row] for row in rows], pictures)
    for start in range(0, len(window), batch_size):
        yield vectors[start : start + batch_size]


def _decode(
    pool: ThreadPoolExecutor, window: list[Input], rows: np.ndarray, size: int
) -> list[Future[np.ndarray] | None]:
    pictures = [window[row].image for row in rows]
    return [pool.submit(load_picture, p, size) if p is not None else None for p in pictures]


def _result(
    decoding: Future[np.ndarray] | None, number: int, source: Input, on_unreadable: Unreadable | None
) -> np.ndarray | None:
    try:
        return decoding.result() if decoding else None
    except ImageRejected as error:
        if on_unreadable is None:
            name = source.image if isinstance(source.image, Path) else f"inputs[{number}].image"
            raise UserError(f"{name}: {error}.") from error
        on_unreadable(number, str(error))
        return None


@torch.inference_mode()
def encode_batch(encoder: ProductEncoder, ids: list[list[int]], pictures: list[np.ndarray | None]) -> np.ndarray:
    """Vectors (B, dim) of token ids (empty: no text) and decoded pictures (None: no picture); NaN for neither."""
    device = next(encoder.fusion.parameters()).device
    image = text = None
    with_picture = [row for row, picture in enumerate(pictures) if picture is not None]
    if with_picture:
        pixels = torch.from_numpy(np.stack([p for p in pictures if p is not None]))
        values = encoder.image(pixels.to(device).permute(0, 3, 1, 2).float())
        image = Tokens(values, values.new_ones(values.shape[:2], dtype=torch.bool)).spread(with_picture, len(ids))
    with_text = [row for row, tokens in enumerate(ids) if tokens]
    if with_text:
        text = encoder.text.tokens([ids[row] for row in with_text]).spread(with_text, len(ids))
    if image is None and text is None:
        return np.full((len(ids), encoder.dim), np.nan, np.float32)
    return encoder(image, text).float().cpu().numpy()


def load_picture(picture: Picture, size: int) -> np.ndarray:
    """(size, size, 3) uint8 of a path, file bytes, PIL image or array. Raises `ImageRejected`."""
    if isinstance(picture, Path | bytes):
        return load_image(picture, size)
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return np.asarray(square(to_rgb(image), size))
