"""BM25, the lexical yardstick for text queries: what a keyword search would find in the same pool."""

from __future__ import annotations

from collections.abc import Sequence

import bm25s
import numpy as np
import torch

from openmoon.evaluation.ranking import count_in_blocks, pair_chunks

# A token is one CJK character, or a run of other letters and digits; single characters count ("5", "L").
_TOKEN = r"(?u)[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
_SCORES_AT_ONCE = 1 << 24  # 64 MiB of scores
_TIE = 1e-5  # scores closer than this are equal: the same words summed in another order


def count_better_bm25(
    query_texts: Sequence[str], item_texts: Sequence[str], pairs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`ranking.count_better` with BM25 scores (Lucene's variant, k1 1.5, b 0.75, no stop words, no stemming).

    Args:
        query_texts: Q texts.
        item_texts: N texts; an empty one scores zero for every query.
        pairs: (P, 2) integers, (query row, item row), all of them distinct.

    Returns:
        (better, ties), each (P,) int64. Items that share no word with the query all tie at zero.
    """
    queries, items = _tokens(query_texts), _tokens(item_texts)
    index = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
    if any(items):
        index.index(items, show_progress=False)
    nothing = np.zeros(len(items), np.float32)
    better, ties = (np.zeros(len(pairs), np.int64) for _ in range(2))
    for part in pair_chunks(np.asarray(pairs, np.int64), max(1, _SCORES_AT_ONCE // max(1, len(items)))):
        asked = (queries[query] for query in part.queries)
        scores = np.stack([index.get_scores(words) if words and any(items) else nothing for words in asked])
        target = scores[part.row, part.item]
        counts = count_in_blocks(part, target, [(0, torch.from_numpy(scores))], tolerance=_TIE)
        better[part.index], ties[part.index] = counts
    return better, ties


def _tokens(texts: Sequence[str]) -> list[list[str]]:
    return bm25s.tokenize(list(texts), token_pattern=_TOKEN, stopwords=None, return_ids=False, show_progress=False)
