"""Impressions and what came of them → the public events table, and the truth about each of its rows."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from openmoon.data.sample.log import Log

ACTIONS = ("impression", "click", "cart", "purchase")
_DELAY = {"impression": 0, "click": 6, "cart": 41, "purchase": 140}  # seconds after the request


def events_and_truth(log: Log, opening: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The events in order of time, and their truth, row by row. `opening` is the first midnight.

    Truth: row, request, uniform (list in random order), noisy (a misclick and what followed), wanted, relevance; for
    impressions also p_true and clicked.
    """
    seen, requests, visits, product_ids = log.seen, log.requests, log.requests.visits, log.world.product_ids
    picked = {"impression": np.arange(len(seen.product)), **{a: np.flatnonzero(getattr(seen, a)) for a in ACTIONS[1:]}}
    which = np.concatenate([picked[a] for a in ACTIONS])
    action = np.repeat(np.arange(len(ACTIONS)), [len(picked[a]) for a in ACTIONS])
    request = seen.request[which]
    delay = np.array([_DELAY[a] for a in ACTIONS])[action] + np.where(action > 0, 2 * seen.position[which], 0)
    seconds = visits.day[request] * 86_400 + visits.second[request] + delay
    order = np.lexsort((seen.position[which], action, request, seconds))
    which, action, request = which[order], action[order], request[order]
    events = pl.DataFrame(
        {
            "user_id": pl.Series("user_id", visits.user[request]).cast(pl.String).str.zfill(5),
            "timestamp": np.datetime64(opening, "us") + seconds[order].astype("timedelta64[s]"),
            "action": pl.Series(ACTIONS, dtype=pl.String).gather(action),
            "product_id": product_ids.gather(seen.product[which]),
            "query_text": _optional(log.queries.texts.text, requests.text[request]),
            "query_image": _optional(log.queries.photos.path, requests.photo[request]),
            "session_id": pl.Series("session_id", visits.session[request]).cast(pl.String).str.zfill(6),
            "position": pl.Series("position", seen.position[which], dtype=pl.Int32),
            "propensity": seen.propensity[which],
        }
    )
    shown = action == 0
    truth = pl.DataFrame(
        {
            "row": np.arange(events.height),
            "request": request,
            "uniform": seen.uniform[which],
            "noisy": seen.noisy[which] & ~shown,
            "wanted": product_ids.gather(requests.wanted[request]),
            "relevance": seen.relevance[which],
            "p_true": seen.p_true[which],
            "clicked": seen.click[which],
        }
    ).with_columns(pl.when(pl.Series(shown)).then(pl.col("p_true", "clicked")))
    return events, truth


def _optional(values: list[str], rows: np.ndarray) -> pl.Series:
    """values[rows], null where a row is -1."""
    return pl.Series([*values, None], dtype=pl.String).gather(np.where(rows < 0, len(values), rows))
