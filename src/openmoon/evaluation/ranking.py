"""Exact ranking in chunks: memory depends on the chunk, never on the number of queries or items.

Filtered ranking: each labelled (query, item) pair is an evaluation instance of its own, and the other items labelled
relevant for the same query are left out of its ranking, so that finding one of them is not punished.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from openmoon.evaluation.metrics import expected_metrics

TIE = 1e-6  # cosines closer than this are equal: float32 products of equal vectors differ by their place in the matrix


@dataclass(frozen=True)
class PairChunk:
    """Some pairs of a few queries, and every item that is relevant to those queries.

    `queries` (q,) are row numbers of the queries; `row` (p,) says which of them pair `index[i]` asks, `item` (p,) which
    item it looks for; (`known_row`, `known_item`) are all labelled pairs of these queries.
    """

    index: np.ndarray
    queries: np.ndarray
    row: np.ndarray
    item: np.ndarray
    known_row: np.ndarray
    known_item: np.ndarray


def pair_chunks(pairs: np.ndarray, size: int) -> Iterator[PairChunk]:
    """Cut labelled pairs (P, 2) of (query row, item row) into chunks of at most `size`, ordered by query."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    query, item = pairs[order].T
    for start in range(0, len(order), size):
        end = min(start + size, len(order))
        first, last = np.searchsorted(query, query[start], "left"), np.searchsorted(query, query[end - 1], "right")
        queries, known_row = np.unique(query[first:last], return_inverse=True)
        row = known_row[start - first : end - first]
        yield PairChunk(order[start:end], queries, row, item[start:end], known_row, item[first:last])


def count_in_blocks(
    chunk: PairChunk, target: np.ndarray, blocks: Iterable[tuple[int, torch.Tensor]], tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Better and tied items of each pair of a chunk.

    `target` (p,) are the scores of the pairs themselves; `blocks` yields (first item, scores (q, n)) until all items
    were seen. Scores within `tolerance` of the target are ties. The blocks are overwritten.
    """
    better, ties = (torch.zeros(len(chunk.row), dtype=torch.int64) for _ in range(2))
    row, wanted = torch.from_numpy(chunk.row), torch.from_numpy(target)[:, None]
    for first, scores in blocks:
        inside = (chunk.known_item >= first) & (chunk.known_item < first + scores.shape[1])
        scores[chunk.known_row[inside], chunk.known_item[inside] - first] = -torch.inf
        gap = scores[row].sub_(wanted)
        above = (gap > tolerance).sum(1)
        better += above
        ties += (gap >= -tolerance).sum(1) - above
    return better.numpy(), ties.numpy()


def count_better(
    query_vectors: np.ndarray, item_vectors: np.ndarray, pairs: np.ndarray, chunk: int = 1024
) -> tuple[np.ndarray, np.ndarray]:
    """How many items beat, and how many tie with, the relevant item of each labelled pair.

    Args:
        query_vectors: (Q, d), L2-normalised.
        item_vectors: (N, d), L2-normalised; may be a memory map.
        pairs: (P, 2) integers, (query row, item row), all of them distinct.
        chunk: pairs and items compared at a time; memory is a few `chunk`² floats.

    Returns:
        (better, ties), each (P,) int64 in the order of `pairs`, counted over the N items less those relevant to the
        same query.
    """
    better, ties = (np.zeros(len(pairs), np.int64) for _ in range(2))
    for part in pair_chunks(np.asarray(pairs, np.int64), chunk):
        queries = _tensor(query_vectors[part.queries])
        target = _pair_scores(queries, item_vectors, part)
        blocks = (
            (first, queries @ _tensor(item_vectors[first : first + chunk]).T)
            for first in range(0, len(item_vectors), chunk)
        )
        better[part.index], ties[part.index] = count_in_blocks(part, target, blocks, TIE)
    return better, ties


def retrieval_metrics(query_vectors: np.ndarray, item_vectors: np.ndarray, pairs: np.ndarray) -> dict[str, float]:
    """`expected_metrics` of `count_better`: the metrics of labelled pairs from vectors."""
    return expected_metrics(*count_better(query_vectors, item_vectors, pairs))


def _pair_scores(queries: torch.Tensor, items: np.ndarray, part: PairChunk) -> np.ndarray:
    return (queries[torch.from_numpy(part.row)] * _tensor(items[part.item])).sum(1).numpy()


def _tensor(vectors: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(vectors, np.float32))
