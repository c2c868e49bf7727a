"""Inputs → vectors as a stream: pictures are decoded ahead by threads, texts are bucketed by length, memory is bounded.

The stream works in windows of `WINDOW` batches: a window is tokenised, sorted by length, computed batch by batch and given
back in the order it came. While a batch is in the trunks, the pictures of the next one, even if of the next window, are
being decoded (Pillow releases the GIL).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from openmoon.data.images import ImageRejected, load_image, square, to_rgb
from openmoon.errors import UserError
from openmoon.models.encoder import ProductEncoder
from openmoon.models.inputs import Input, Picture
from openmoon.models.tokens import Tokens
from openmoon.runtime import cores

WINDOW = 16  # batches
Unreadable = Callable[[int, str], None]
"""Told the number of an input whose picture cannot be used, and why."""


def encode_stream(
    encoder: ProductEncoder,
    inputs: Iterable[Input],
    batch_size: int = 32,
    workers: int | None = None,
    on_unreadable: Unreadable | None = None,
) -> Iterator[np.ndarray]:
    """Yield the vectors of `inputs` in order, in float32 arrays of up to `batch_size` rows. `workers` threads (default: one a
    core) decode pictures.

    An unreadable picture raises `UserError`; with `on_unreadable` it is reported there and counts as missing, and an
    input with nothing else gets a vector of NaN.
    """
    with ThreadPoolExecutor(workers or cores()) as pool:
        for batch in _one_ahead(_batches(encoder, iter(inputs), batch_size, pool)):
            window = batch.window
            pictures = [
                _result(decoding, window.first + row, window.inputs[row], on_unreadable)
                for decoding, row in zip(batch.decoding, batch.rows, strict=True)
            ]
            window.vectors[batch.rows] = encode_batch(encoder, [window.ids[row] for row in batch.rows], pictures)
            if batch.last:
                for start in range(0, len(window.vectors), batch_size):
                    yield window.vectors[start : start + batch_size]


class _Window(NamedTuple):
    """Inputs that are sorted together: the number of the first, token ids of each, and the place for their vectors."""

    first: int
    inputs: list[Input]
    ids: list[list[int]]
    vectors: np.ndarray


class _Batch(NamedTuple):
    """Rows of a window that go through the trunks together, their pictures being decoded; `last` of its window."""

    window: _Window
    rows: np.ndarray
    decoding: list[Future[np.ndarray] | None]
    last: bool


def _batches(
    encoder: ProductEncoder, inputs: Iterator[Input], batch_size: int, pool: ThreadPoolExecutor
) -> Iterator[_Batch]:
    first = 0
    while window := list(islice(inputs, WINDOW * batch_size)):
        texts = [i.text for i in window if i.text is not None]
        tokenised = iter(encoder.text.tokenize(texts) if texts else [])
        ids = [next(tokenised) if i.text is not None else [] for i in window]
        shared = _Window(first, window, ids, np.empty((len(window), encoder.dim), np.float32))
        order = np.argsort([len(tokens) for tokens in ids], kind="stable")
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield _Batch(
                shared, rows, _decode(pool, window, rows, encoder.image_size), start + batch_size >= len(order)
            )
        first += len(window)


def _one_ahead(batches: Iterator[_Batch]) -> Iterator[_Batch]:
    """The same batches, the next one already begun when one is given out."""
    current = next(batches, None)
    while current is not None:
        following = next(batches, None)
        yield current
        current = following


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
    """Vectors (B, dim) of token ids (empty: no text) and decoded pictures (None: no picture); NaN for neither.

    Raises `UserError` where the encoder makes NaN or infinity of an input that is there.
    """
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
    vectors = encoder(image, text).float().cpu().numpy()
    if not np.isfinite(vectors[[*with_picture, *with_text]]).all():
        raise UserError("the encoder's vectors hold NaN or infinity: its weights are broken; train it again, with a lower rate "
                        "if training broke it.")  # fmt: skip
    return vectors


def load_picture(picture: Picture, size: int) -> np.ndarray:
    """(size, size, 3) uint8 of a path, file bytes, PIL image or array. Raises `ImageRejected`."""
    if isinstance(picture, Path | bytes):
        return load_image(picture, size)
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return np.asarray(square(to_rgb(image), size))
