"""From events to impressions with labels: what was shown in answer to which request, and whether it was chosen."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from openmoon.data.schema import ACTIONS

REQUEST = ["seconds", "user", "visit", "query"]
WINDOW = 86_400  # seconds after an impression in which a choice without a session is ascribed to it


@dataclass(frozen=True)
class Impressions:
    """`table`: one row per impression in order of time and request: the columns of `Events`, visit (first row of
    the session), request (number from 0), label (bool). `counts`: what was joined and left out."""

    table: pl.DataFrame
    counts: dict[str, int]


def impressions(events: pl.DataFrame, label: str) -> Impressions:
    """Impressions among the columns of `Events`, labelled by whether the action `label` followed on the product.

    An action belongs to the last impression of the product before it in the same session; where the log has no sessions, of
    the same shopper within a day. One that carries its query belongs to an impression for that query, if there is one. A
    request is what one shopper was shown at one moment for one query.
    """
    shown, chosen = (events.filter(pl.col("action") == ACTIONS.index(action)) for action in ("impression", label))
    hit = _joined(shown, chosen)
    visit = pl.col("row").min().over("user", "session")  # in order of appearance, which a session's hash is not
    labelled = shown.with_columns(label=pl.col("row").is_in(hit.drop_nulls().implode()), visit=visit)
    table = labelled.sort(*REQUEST, "position", "row").with_columns(request=pl.struct(REQUEST).rle_id())
    counts = {"impressions": shown.height, "requests": table["request"].n_unique(), f"{label}s": chosen.height,
              f"{label}s without an impression before them": int(hit.null_count()),
              "impressions chosen": int(table["label"].sum())}  # fmt: skip
    return Impressions(table, counts)


def _joined(shown: pl.DataFrame, chosen: pl.DataFrame) -> pl.Series:
    """Row of the impression that each choice belongs to, null where there is none."""
    left = chosen.select("user", "session", "product", "query", "seconds").sort("seconds")
    right = shown.select("user", "session", "product", "query", "seconds", hit="row", seen="seconds").sort("seconds")
    late = (pl.col("session") == 0) & (pl.col("seconds") - pl.col("seen") > WINDOW)
    same, any_query = (
        left.join_asof(right, on="seconds", by=keys, strategy="backward", check_sortedness=False)
        .select(pl.when(~late).then("hit"))
        .to_series()
        for keys in (["user", "session", "product", "query"], ["user", "session", "product"])
    )
    return same.zip_with(same.is_not_null(), any_query)
