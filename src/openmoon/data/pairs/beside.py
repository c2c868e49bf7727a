"""What the log has beside a pair: products also chosen for its query, clicked and left, or shown and passed by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from openmoon.data.lists import Lists, Others

MANY = 100  # different products chosen in one session
LOGGED = ["asked_text", "query_image_key"]  # the text as it was in the log, also where a rule took it from the pair


def also_chosen(pairs: pl.DataFrame, chosen: pl.DataFrame) -> Others:
    """For each pair the rows (`item`) of the other products that were chosen for its query, each once. `chosen` are all pairs
    (the columns of LOGGED, and item), also those that rules have dropped since."""
    found = _chosen_for(LOGGED, chosen).with_columns(own=pl.int_range(pl.len()).over(LOGGED))
    own = pairs.join(found, on=[*LOGGED, "item"], how="left", nulls_equal=True, maintain_order="left")["own"]
    return Others(_shared(pairs, found, LOGGED), own.fill_null(-1).to_numpy().astype(np.int64))


def answers_of(pairs: pl.DataFrame, chosen: pl.DataFrame, whole: Lists) -> dict[str, Lists]:
    """What the log answers a pair's query with when it is shown under a view: for each pair the rows of the products that were
    chosen for its words (text), for its photo (image), and for what it shows of these (text+image), whatever else was asked with
    them; its own among them. `chosen` as in `also_chosen`, whose lists are `whole`."""
    words, photo = (_shared(pairs, _chosen_for([part], chosen).drop_nulls(), [part]) for part in LOGGED)
    shows_words, shows_photo = (pairs[name].is_not_null().to_numpy() for name in ("query_text", "query_image_key"))
    if not shows_photo.any():
        return {"text": words, "image": photo, "text+image": words}
    both = Lists.chosen(shows_words & shows_photo, whole, Lists.chosen(shows_words, words, photo))
    return {"text": words, "image": photo, "text+image": both}


def chosen_in_visits(pairs: pl.DataFrame, chosen: pl.DataFrame) -> tuple[Lists, int]:
    """For each pair the rows (`item`) of the products that were chosen in the sessions that it was chosen in, its own among
    them; and how many sessions are left out, with more than `MANY` of them: no shopper's, but a robot's or those of all guests
    under one name."""
    mates = chosen.select("visits", "item").explode("visits").drop_nulls().unique(maintain_order=True)
    short = mates.filter(pl.len().over("visits") <= MANY)
    asked = pairs.select("visits", pair=pl.int_range(pl.len())).explode("visits")
    found = asked.join(short, on="visits", maintain_order="left_right").select("pair", "item").unique(maintain_order=True)
    lists = Lists.group(found["pair"].to_numpy(), found["item"].to_numpy(), len(pairs))
    return lists, mates["visits"].n_unique() - short["visits"].n_unique()


def not_chosen(
    pairs: pl.DataFrame, chosen: pl.DataFrame, met: pl.DataFrame, actions: Sequence[str], spus: np.ndarray
) -> Lists:
    """For each pair the rows of the products that its query met with nothing stronger than `actions`.

    `chosen` as in `also_chosen`; `met` holds asked_text, query_image_key, item and the strongest action between each query
    and product. Products of the SPU of anything chosen for the query are left out. `spus` is of all products.
    """
    spu = pl.Series("spu", spus)
    right = chosen.select(*LOGGED, spu=spu[chosen["item"]]).unique()
    candidates = met.filter(pl.col("action").is_in(list(actions))).select(*LOGGED, "item").unique(maintain_order=True)
    candidates = candidates.with_columns(spu=spu[candidates["item"]])
    found = candidates.join(right, on=[*LOGGED, "spu"], how="anti", nulls_equal=True, maintain_order="left")
    return _shared(pairs, found, LOGGED)


def same_category(lists: Lists, items: np.ndarray, category: np.ndarray) -> Lists:
    """Of the lists of pairs, whose products are `items` (P,), what is of the same category as the pair's product."""
    return lists.kept_where(category[items], lambda values, wanted: category[values] == wanted)


def _chosen_for(query: Sequence[str], chosen: pl.DataFrame) -> pl.DataFrame:
    return chosen.select(*query, "item").unique(maintain_order=True)


def _shared(pairs: pl.DataFrame, found: pl.DataFrame, query: Sequence[str]) -> Lists:
    """The items of `found` by `query`, a list that all pairs share which ask the same."""
    distinct = found.select(query).unique(maintain_order=True).with_row_index("list")
    owner = found.join(distinct, on=query, nulls_equal=True, maintain_order="left")["list"]
    which = pairs.join(distinct, on=query, how="left", nulls_equal=True, maintain_order="left")["list"].fill_null(len(distinct))
    owners, items, nothing = owner.to_numpy().astype(np.int64), found["item"].to_numpy(), len(distinct)
    return Lists.group(owners, items, nothing + 1, which.to_numpy().astype(np.int64))
