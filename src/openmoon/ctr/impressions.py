"""From events to impressions with labels: what was shown in answer to which request, and whether it was chosen."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from openmoon.data.splits import normalise_query
from openmoon.errors import UserError

REQUEST = ["user_id", "session_id", "timestamp", "query_text", "query_image"]


@dataclass(frozen=True)
class Impressions:
    """`table`: one row per impression in order of time and request: request (number), user_id, timestamp, query_text,
    query_image, product_id, position, propensity, label (bool), row (of the events). `counts`: what was joined and left out."""

    table: pl.DataFrame
    counts: dict[str, int]


def impressions(events: pl.DataFrame, label: str) -> Impressions:
    """Impressions labelled by whether the action `label` (click, cart or purchase) on the product followed.

    An action belongs to the last impression of the product before it in the same session; where the log has no sessions, of
    the same shopper within a day. A request is what one shopper was shown at one moment for one query. Raises `UserError`
    where the log has no impressions, or none of the actions.
    """
    numbered = events.with_row_index("row").with_columns(
        query_text=clean_text(pl.col("query_text")), session_id=pl.col("session_id").fill_null("")
    )
    shown = numbered.filter(pl.col("action") == "impression")
    chosen = numbered.filter(pl.col("action") == label)
    for found, what in ((shown, "impression"), (chosen, label)):
        if found.is_empty():
            raise UserError(f"data.events: no event has the action {what!r}, so there is nothing to predict; CTR models need "
                            "what was shown (action impression) as well as what was chosen.")  # fmt: skip
    hit = _joined(shown, chosen)
    labelled = shown.with_columns(label=pl.col("row").is_in(hit.drop_nulls().implode()))
    order = labelled.sort("timestamp", *REQUEST[:2], *REQUEST[3:], "position", "row", nulls_last=True)
    table = order.with_columns(request=pl.struct(REQUEST).rle_id())
    counts = {"impressions": shown.height, "requests": table["request"].n_unique(), f"{label}s": chosen.height,
              f"{label}s without an impression before them": int(hit.null_count()),
              "impressions chosen": int(table["label"].sum())}  # fmt: skip
    kept = [
        "request",
        "row",
        "user_id",
        "timestamp",
        "query_text",
        "query_image",
        "product_id",
        "position",
        "propensity",
        "label",
    ]
    return Impressions(table.select(kept), counts)


def _joined(shown: pl.DataFrame, chosen: pl.DataFrame) -> pl.Series:
    """Row of the impression that each choice belongs to, null where there is none. A choice that carries its query belongs to
    an impression for that query, if there is one."""
    asked = pl.coalesce("query_text", "query_image")
    left, right = chosen.with_columns(asked=asked).sort("timestamp"), shown.with_columns(asked=asked).sort("timestamp")
    right = right.select("user_id", "session_id", "product_id", "asked", "timestamp", hit="row", seen="timestamp")
    late = (pl.col("session_id") == "") & (pl.col("timestamp") - pl.col("seen") > pl.duration(days=1))
    found = [
        left.join_asof(right, on="timestamp", by=keys, strategy="backward", check_sortedness=False).select(
            pl.when(~late).then("hit")
        )
        for keys in (["user_id", "session_id", "product_id", "asked"], ["user_id", "session_id", "product_id"])
    ]
    same, any_query = (one.to_series() for one in found)
    return same.zip_with(same.is_not_null(), any_query)


def clean_text(text: pl.Expr) -> pl.Expr:
    clean = normalise_query(text)
    return pl.when(clean != "").then(clean)
