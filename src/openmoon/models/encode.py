"""Inputs → vectors as a stream: texts are bucketed by length, pictures are decoded on the way, memory is bounded.

The stream works in windows of `WINDOW` batches: a window is tokenised, sorted by length, computed batch by batch and given back
in the order it came. On a CPU every core decodes and computes a batch of its own; for a GPU all cores decode ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice, repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from openmoon.data.images import ImageRejected, load_image, pixels_of
from openmoon.errors import UserError
from openmoon.lanes import cpu_lanes, in_lanes
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
    """Yield the vectors of `inputs` in order, in float32 arrays of up to `batch_size` rows. `workers` threads decode
    pictures (default: one a core); on a CPU they compute as well (default: all of torch's threads, at most `lanes.MOST`).

    An unreadable picture raises `UserError`; with `on_unreadable` it is reported there and counts as missing, and an
    input with nothing else gets a vector of NaN.
    """
    inputs = iter(inputs)
    first = list(islice(inputs, batch_size + 1))
    on_cpu = next(encoder.fusion.parameters()).device.type == "cpu"
    workers = workers or (cpu_lanes() if on_cpu else cores())
    alone = len(first) <= batch_size  # then the workers decode its pictures, and it is computed in this thread

    def work(batch: _Batch) -> tuple[list[np.ndarray | None] | np.ndarray, dict[int, str]]:
        pictures, unreadable = _decode(batch, encoder.image_size, on_unreadable is not None, workers if alone else 1)
        return encode_batch(encoder, batch.ids, pictures) if on_cpu else pictures, unreadable

    for batch, (made, unreadable) in in_lanes(work, _batches(encoder, chain(first, inputs), batch_size), 1 if alone else workers):
        if on_unreadable is not None:
            for number, reason in unreadable.items():
                on_unreadable(number, reason)
        window = batch.window
        window.vectors[batch.rows] = made if isinstance(made, np.ndarray) else encode_batch(encoder, batch.ids, made)
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
    """Rows of a window that go through the trunks together; `last` of its window."""

    window: _Window
    rows: np.ndarray
    last: bool

    @property
    def ids(self) -> list[list[int]]:
        return [self.window.ids[row] for row in self.rows]


def _batches(encoder: ProductEncoder, inputs: Iterator[Input], batch_size: int) -> Iterator[_Batch]:
    first = 0
    while window := list(islice(inputs, WINDOW * batch_size)):
        texts = [i.text for i in window if i.text is not None]
        tokenised = iter(encoder.text.tokenize(texts) if texts else [])
        ids = [next(tokenised) if i.text is not None else [] for i in window]
        shared = _Window(first, window, ids, np.empty((len(window), encoder.dim), np.float32))
        order = np.argsort([-len(tokens) for tokens in ids], kind="stable")  # the long first: no core is late with one
        for start in range(0, len(order), batch_size):
            yield _Batch(shared, order[start : start + batch_size], start + batch_size >= len(order))
        first += len(window)


def _decode(batch: _Batch, size: int, spare: bool, threads: int) -> tuple[list[np.ndarray | None], dict[int, str]]:
    """The pictures of a batch; of unreadable ones the number and the reason, or where they are not to be spared a `UserError`."""
    sources = [batch.window.inputs[row].image for row in batch.rows]
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(_loaded, sources, repeat(size)))
    else:
        found = list(map(_loaded, sources, repeat(size)))
    unreadable = {}
    for row, source, picture in zip(batch.rows, sources, found, strict=True):
        if isinstance(picture, ImageRejected):
            number = batch.window.first + int(row)
            if not spare:
                raise UserError(f"{source if isinstance(source, Path) else f'inputs[{number}].image'}: {picture}.") from picture
            unreadable[number] = str(picture)
    return [None if isinstance(picture, ImageRejected) else picture for picture in found], unreadable


def _loaded(picture: Picture | None, size: int) -> np.ndarray | ImageRejected | None:
    try:
        return None if picture is None else load_picture(picture, size)
    except ImageRejected as error:
        return error


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
        image = Tokens.whole(encoder.image(pixels.to(device).permute(0, 3, 1, 2))).spread(with_picture, len(ids))
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
    return pixels_of(picture if isinstance(picture, Image.Image) else Image.fromarray(picture), size)
