"""From a shop's tables to the log: some shoppers at a time, so that the events may be larger than memory."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl

from openmoon.config.ctr import CtrConfig
from openmoon.ctr.columns import Columns
from openmoon.ctr.entities import Entities
from openmoon.ctr.events import PART, Events
from openmoon.ctr.histories import QUERY, Histories, before, in_order
from openmoon.ctr.impressions import impressions
from openmoon.ctr.log import CtrLog, count_items
from openmoon.ctr.time_split import TRAIN, time_split
from openmoon.ctr.vocabulary import NONE, fit_vocabulary, query_names
from openmoon.data.schema import ACTIONS
from openmoon.errors import UserError


def build_log(catalog: pl.DataFrame, events: Events, config: CtrConfig, most: int = PART) -> CtrLog:
    """Read a shop's tables as columns. Behaviours are strictly before the request; vocabularies come from the training part.

    About `most` events are in memory at once; besides them what there is per request, shopper and product. Raises `UserError`
    where there is nothing to predict, and for a split with nothing in a part.
    """
    everything = Entities(catalog.select("product_id", "category", "shop_id", "price", "created_at"), events.queries)
    requests, candidates, behaviours = (Columns(events.columns.folder) for _ in range(3))
    counts, kept = Counter[str](), 0

    def add(part: pl.DataFrame) -> None:
        nonlocal kept
        found = impressions(part, config.label)
        counts.update(found.counts)
        asked = _requests(found.table, everything)
        past = in_order(_behaviours(part, asked, config))
        start, end = before(past, asked["user"].to_numpy(), asked["seconds"].to_numpy())
        requests.append(start=start + kept, end=end + kept, **_arrays(asked, "user", "query", "seconds", "length"))
        candidates.append(**_arrays(found.table, "product", "label", "position", "propensity", "row"))
        behaviours.append(**_arrays(past, "entity", "kind", "seconds"))
        kept += len(past)

    for _ in map(add, events.parts(most)):  # what `add` holds of a part is gone before the next one is read
        pass
    _check(counts, config.label)
    shopper, query, seconds, lengths = (requests[name] for name in ("user", "query", "seconds", "length"))
    split, borders = _split(seconds, lengths, config)
    first = np.concatenate([[0], np.cumsum(lengths)])
    train = np.flatnonzero(split == TRAIN)
    items = count_items(candidates["product"], first, train, len(events.products) + 1)
    places = query - everything.first_query + 1
    _check_both_kinds(candidates["label"], lengths, split, config.label)
    vocabulary = fit_vocabulary({
        "user": _counted(events.users, shopper[train], lengths[train]),
        "product": pl.DataFrame({"name": events.products, "count": items[1:]}),
        "query": _counted(query_names(events.queries), places[train].clip(0), lengths[train]),
    }, everything.products, config.min_count)  # fmt: skip
    return CtrLog(
        everything, vocabulary, Histories(*(behaviours[name] for name in ("entity", "kind", "seconds"))),
        user=np.concatenate([[NONE], vocabulary.numbers("user", events.users)])[shopper], shopper=shopper, shoppers=events.users,
        query=query, seconds=seconds, split=split, start=requests["start"], end=requests["end"],
        first=first, item=candidates["product"], label=candidates["label"],
        position=candidates["position"], propensity=candidates["propensity"], row=candidates["row"],
        counts={**counts, **borders},
    )  # fmt: skip


def _requests(shown: pl.DataFrame, everything: Entities) -> pl.DataFrame:
    """user, query (row of entities), seconds, length (impressions), in the order of the impressions."""
    query = pl.col("query")
    return shown.group_by("request", maintain_order=True).agg(
        pl.col("user", "seconds").first(), pl.len().cast(pl.Int64).alias("length"),
        pl.when(query > 0).then(query + everything.first_query - 1).otherwise(0).cast(pl.Int32).first().alias("query"),
    )  # fmt: skip


def _behaviours(events: pl.DataFrame, requests: pl.DataFrame, config: CtrConfig) -> pl.DataFrame:
    """user, entity, kind, seconds: what was chosen, and what was asked."""
    wanted = [ACTIONS.index(action) for action in config.behaviours]
    chosen = events.filter(pl.col("action").is_in(wanted))
    parts = [chosen.select("user", "seconds", entity="product", kind="action")]
    if config.queries:
        asked = requests.filter(pl.col("query") > 0)
        parts.append(asked.select("user", "seconds", entity="query", kind=pl.lit(QUERY, pl.Int8)))
    return pl.concat(parts)


def _arrays(table: pl.DataFrame, *names: str) -> dict[str, np.ndarray]:
    found = {name: table[name].to_numpy() for name in names}
    return {name: values.astype(np.float32) if values.dtype == bool else values for name, values in found.items()}


def _check(counts: Counter[str], label: str) -> None:
    for name, action in (("impressions", "impression"), (f"{label}s", label)):
        if not counts[name]:
            raise UserError(f"data.events: no usable event has the action {action!r}, so there is nothing to predict; CTR models "
                            "need what was shown (action impression) as well as what was chosen.")  # fmt: skip


def _check_both_kinds(label: np.ndarray, lengths: np.ndarray, split: np.ndarray, name: str) -> None:
    learnt = label[np.repeat(split == TRAIN, lengths)]
    chosen = int(learnt.sum())
    if chosen in (0, len(learnt)):
        raise UserError(f"ctr.split: of the {len(learnt):,} training impressions {'none' if not chosen else 'every one'} has a "
                        f"{name}, so there is nothing to tell apart; train on a later part, or see that impressions and "
                        f"{name}s are logged alike.")  # fmt: skip


def _split(seconds: np.ndarray, lengths: np.ndarray, config: CtrConfig) -> tuple[np.ndarray, dict[str, int]]:
    order = np.argsort(seconds, kind="stable")
    sorted_split, borders = time_split(seconds[order], lengths[order], config.split)
    split = np.empty_like(sorted_split)
    split[order] = sorted_split
    return split, borders


def _counted(names: pl.Series, numbers: np.ndarray, lengths: np.ndarray) -> pl.DataFrame:
    """name, count: the impressions of the requests that have each name's number, from 1."""
    return pl.DataFrame({"name": names, "count": np.bincount(numbers, lengths, len(names) + 1)[1:].astype(np.int64)})
