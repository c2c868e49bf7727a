"""Pictures that look the same: perceptual hash for the shape, a tiny thumbnail for the colour."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

DISTANCE = 4  # bits of 64 that may differ
LEVELS = 32  # of 0–255, that any cell of the thumbnails may differ
BLOCK = 4096  # rows or pairs that are compared at once
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
LOOK = np.dtype([("hash", np.uint64), ("thumbnail", np.uint8, (16, 16, 3))])  # what a picture looks like


def looks(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.void]:
    """Perceptual hashes and thumbnails, (N,) of `LOOK`, of (N, S, S, 3) uint8 pictures, S at least 32.

    The hash is pHash as in the imagehash package (the low 8×8 frequencies of a 32×32 grey picture against their
    median), for a batch at once and with an area mean for the reduction.
    """
    small = _cell_means(pixels, 32)
    low = _dct(8, 32)
    frequencies = (low @ (small @ LUMA) @ low.T).reshape(len(pixels), 64)
    bits = frequencies > np.median(frequencies, axis=1, keepdims=True)
    found = np.empty(len(pixels), LOOK)
    found["hash"] = np.packbits(bits, axis=1).view(">u8")[:, 0]
    found["thumbnail"] = _cell_means(small, 16).round()
    return found


def near_duplicates(found: npt.NDArray[np.void], distance: int = DISTANCE, levels: int = LEVELS) -> npt.NDArray[np.int64]:
    """Label (N,) int64 per `LOOK`: pictures that look the same, directly or over others, share one.

    Two pictures look the same when at most `distance` bits of their hashes differ and no cell of their thumbnails
    differs by more than `levels`: hashes alone call all shoes on white the same, and a red and a blue shirt. Copies
    that were compressed, resized or made a little brighter are found; cropped ones mostly are not.
    """
    pairs = _close_hashes(np.ascontiguousarray(found["hash"]), distance)
    same = [_alike(found["thumbnail"], block, levels) for block in np.array_split(pairs, len(pairs) // BLOCK + 1)]
    return components(pairs[np.concatenate(same)], len(found))


def _alike(thumbnails: npt.NDArray[np.uint8], pairs: npt.NDArray[np.int64], levels: int) -> npt.NDArray[np.bool_]:
    difference = np.abs(thumbnails[pairs[:, 0]].astype(np.int16) - thumbnails[pairs[:, 1]])
    return difference.max((1, 2, 3), initial=0) <= levels


def _close_hashes(hashes: npt.NDArray[np.uint64], distance: int) -> npt.NDArray[np.int64]:
    """(P, 2) pairs within `distance` bits, each at least once.

    Of distance + 1 bands of bits at least one is equal in such a pair, so only rows that share a band are compared.
    """
    edges = np.linspace(0, 64, distance + 2).astype(int)
    found = [np.empty((0, 2), np.int64)]
    for low, high in pairwise(edges):
        band = (hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order], prepend=band[order][:1] ^ np.uint64(1)))
        for bucket in np.split(order, starts[1:]):
            if len(bucket) > 1:
                found += _within(hashes, bucket, distance)
    return np.concatenate(found)


def _within(
    hashes: npt.NDArray[np.uint64], bucket: npt.NDArray[np.int64], distance: int
) -> list[npt.NDArray[np.int64]]:
    own = hashes[bucket]
    found = []
    for start in range(0, len(bucket), BLOCK):
        close = np.bitwise_count(own[start : start + BLOCK, None] ^ own[None, start:]) <= distance
        left, right = np.nonzero(np.triu(close, 1))
        if len(left):
            found.append(np.stack([bucket[start + left], bucket[start + right]], 1))
    return found


def components(pairs: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Connected components of `count` nodes joined by `pairs` (P, 2): each node's label is the least node it reaches."""
    label = np.arange(count)
    while True:
        least = np.minimum(label[pairs[:, 0]], label[pairs[:, 1]])
        new = label.copy()
        np.minimum.at(new, pairs[:, 0], least)
        np.minimum.at(new, pairs[:, 1], least)
        new = new[new]
        if np.array_equal(new, label):
            return label
        label = new


def _cell_means(pixels: npt.NDArray[Any], cells: int) -> npt.NDArray[np.float32]:
    """(N, S, S, 3) → (N, cells, cells, 3)."""
    edges = np.arange(cells + 1) * pixels.shape[1] // cells
    area = np.diff(edges)[:, None] * np.diff(edges)
    # summing bytes in 16 bits is 7x faster than in floats; a cell has at most 257 rows for pictures up to 8224 wide
    kind = np.uint16 if pixels.dtype == np.uint8 else np.float32
    total = np.add.reduceat(pixels, edges[:-1], axis=1, dtype=kind)
    return np.add.reduceat(total, edges[:-1], axis=2, dtype=np.float32) / area[:, :, None].astype(np.float32)


def _dct(rows: int, size: int) -> npt.NDArray[np.float32]:
    """The first rows of the type-II discrete cosine transform."""
    return np.cos(np.pi * np.arange(rows)[:, None] * (2 * np.arange(size) + 1) / (2 * size)).astype(np.float32)
