"""Write a simulated log: the public events, and the truth beside them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.data.sample.events import events_and_truth
from openmoon.data.sample.latent import LatentSpace
from openmoon.data.sample.log import Log
from openmoon.data.sample.queries import labelled_queries

_MOST = 10  # products listed for each query
_CHUNK = 512


def write_log(folder: Path, log: Log, opening: datetime) -> dict[str, int]:
    """Write events.parquet and truth/{events,queries,relevance}.parquet; return their numbers of rows."""
    events, truth = events_and_truth(log, opening)
    queries = labelled_queries(log.queries.texts, log.queries.photos, log.world.product_ids)
    events.write_parquet(folder / "events.parquet")
    truth.write_parquet(folder / "truth" / "events.parquet")
    queries.write_parquet(folder / "truth" / "queries.parquet")
    _relevance(log).write_parquet(folder / "truth" / "relevance.parquet")
    return {"labelled_queries": queries.height, "events": events.height}


def _relevance(log: Log) -> pl.DataFrame:
    """query_text or query_image, product_id, match in 0..1: the best products for every text and photo."""
    texts, photos, space = log.queries.texts, log.queries.photos, log.world.space
    tables = []
    for column, asked, product, named in (
        ("query_text", texts.text, texts.product, texts.named),
        ("query_image", photos.path, photos.product, log.queries.photo_named()),
    ):
        top, match = _best(space, product, named)
        asked_often = pl.Series(asked, dtype=pl.String).gather(np.arange(len(asked)).repeat(top.shape[1]))
        found = {"product_id": log.world.product_ids.gather(top.reshape(-1)), "match": match.reshape(-1)}
        empty = {"query_text": None, "query_image": None}
        tables.append(
            pl.DataFrame(found).select(**(empty | {column: asked_often}), product_id="product_id", match="match")
        )
    return pl.concat(tables, how="vertical_relaxed")


def _best(space: LatentSpace, product: np.ndarray, named: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the best products for each query and their match, both (queries, at most `_MOST`)."""
    count = min(_MOST, len(space.matrix))
    rows, match = np.empty((len(product), count), np.int64), np.empty((len(product), count))
    for start in range(0, len(product), _CHUNK):
        part = slice(start, start + _CHUNK)
        score = space.queries(product[part], named[part]) @ space.matrix.T
        rows[part] = np.argsort(-score, axis=1, kind="stable")[:, :count]
        match[part] = np.take_along_axis(score, rows[part], 1) / space.named_share(named[part])[:, None]
    return rows, np.round(match, 4)
