"""From a folder of TAOBAO-MM to a log and vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.config.ctr import CtrConfig
from openmoon.ctr.build import uses_vectors
from openmoon.ctr.content import VectorRows
from openmoon.ctr.entities import Entities
from openmoon.ctr.histories import Histories
from openmoon.ctr.log import CtrLog
from openmoon.ctr.taobao_mm.gather import Gathered
from openmoon.ctr.taobao_mm.samples import Samples, read_samples
from openmoon.ctr.taobao_mm.vectors import read_vectors
from openmoon.ctr.time_split import SPLIT_NAMES, TEST, TRAIN, VAL
from openmoon.ctr.vocabulary import fit_vocabulary
from openmoon.data.schema import ACTIONS
from openmoon.errors import UserError

_KIND = ACTIONS.index("click")


def read_taobao_mm(
    folder: Path, config: CtrConfig, on_rows: Callable[[int], None] = lambda rows: None
) -> tuple[CtrLog, VectorRows | None]:
    """Read the data set in `folder`. Vectors are None where no model of `config.models` reads them.

    Two layouts are read, each with its files in `folder` or in the folders of the published release. Joined:
    (train/)train-shard-*.parquet and (test/)test-shard-*.parquet, whose rows hold everything. Split, where there are no such
    shards: (raw/)train_samples, train_user_features, the same for test, and item_features, joined by user and item id. Either
    with (raw/)scl_embedding_int8_p90.parquet. Name the folder raw itself to read the split layout of a release with both.

    Each sample is a request with one candidate. Nothing in the data says when: samples keep the order of the files, behaviours
    that of their lists, and hour, weekday and age are the same for all. The last share `split.val` of the training samples is
    the validation part. What the behaviours were is not said either; all count as clicks. Item ids and categories are
    products and their categories; a product keeps the category it is first met with. Left out, since no field of ours means
    the same: what 130_1…130_5 (age, gender and place of the user) and 213 and 214 (place of the item) hold; there are no
    shops, prices, queries or positions. Only the latest `config.length` behaviours are kept; slices know of the others.

    In memory: 4 bytes a behaviour that is kept, about 80 a sample, and with vectors 512 a product, those of histories
    included; for less, put fewer shards into the folder or choose a smaller `length`. The split layout is read faster: it
    holds a history once, and not with each of its user's samples.
    """
    gathered = Gathered(config.length)
    train, test = read_samples(folder, ("train", "test"), gathered, on_rows)
    split = _split(folder, train, test, config)
    rows, unusable = None, dict[str, int]()
    if any(uses_vectors(name) for name in config.models):
        rows, unusable = read_vectors(folder, config.vectors, gathered.items)
    counts = {"impressions": len(split), "requests": len(split)}
    counts |= {"impressions chosen": int(train.clicked.sum() + test.clicked.sum())}
    counts |= {f"in {name}": int((split == number).sum()) for name, number in SPLIT_NAMES.items()}
    counts |= {"products, those of histories included": len(gathered.items), "behaviours kept": len(gathered.entities)}
    counts |= {reason: count for reason, count in {**gathered.counts, **unusable}.items() if count}
    return _log(gathered, train, test, split, config.min_count, counts), rows


def _split(folder: Path, train: Samples, test: Samples, config: CtrConfig) -> np.ndarray:
    """(R,) part of each request, training samples first."""
    assert isinstance(config.split.val, float)
    val = round(config.split.val * len(train))
    for name, count in (("train", len(train) - val), ("val", val), ("test", len(test))):
        if count == 0:
            raise UserError(f"{folder}: {name} is empty ({len(train)} training samples, of which ctr.split.val = "
                            f"{config.split.val} are for validation, and {len(test)} for testing).")  # fmt: skip
    return np.repeat(np.array([TRAIN, VAL, TEST], np.int8), [len(train) - val, val, len(test)])


def _log(
    gathered: Gathered, train: Samples, test: Samples, split: np.ndarray, min_count: int, counts: dict[str, int]
) -> CtrLog:
    user, item, label, start, end, met = (
        np.concatenate(pair)
        for pair in ((train.user, test.user), (train.item, test.item), (train.clicked, test.clicked),
                     (train.past.start, test.past.start), (train.past.end, test.past.end), (train.past.met, test.past.met))
    )  # fmt: skip
    everything = _entities(gathered)
    names, place = np.unique(user, return_inverse=True)
    shoppers, shopper = pl.Series(names), place.astype(np.int32) + 1
    counts_of = {"user": _counted(shoppers, shopper[split == TRAIN]),
                 "product": _counted(everything.products["product_id"], item[split == TRAIN]),
                 "query": _counted(pl.Series([], dtype=pl.String), item[:0])}  # fmt: skip
    vocabulary = fit_vocabulary(counts_of, everything.products, min_count)
    behaviours, count = gathered.entities, len(user)
    past = Histories(behaviours, *(np.broadcast_to(one, len(behaviours)) for one in (np.int8(_KIND), np.int64(0))))
    return CtrLog(
        everything, vocabulary, past, user=vocabulary.numbers("user", shoppers)[place], shopper=shopper, shoppers=shoppers,
        query=np.zeros(count, np.int32), seconds=np.zeros(count, np.int64), split=split, start=start, end=end,
        first=np.arange(count + 1), item=item, label=label, position=np.zeros(count, np.int32),
        propensity=np.full(count, np.nan, np.float32), row=np.concatenate([train.row, train.rows + test.row]), counts=counts,
        timed=False, offered=np.unique(item), met=met,
    )  # fmt: skip


def _counted(names: pl.Series, numbers: np.ndarray) -> pl.DataFrame:
    """name, count: how often each name's number, from 1, occurs."""
    return pl.DataFrame({"name": names, "count": np.bincount(numbers, minlength=len(names) + 1)[1:]})


def _entities(gathered: Gathered) -> Entities:
    ids = gathered.items.ids
    categories = pl.Series(gathered.categories.ids).cast(pl.String)
    of_items = pl.Series(gathered.category[1:]).cast(pl.Int64)
    products = pl.DataFrame({"product_id": ids, "category": categories.gather((of_items - 1).replace(-1, None))})
    nothing: dict[str, pl.DataType] = {"shop_id": pl.String(), "price": pl.Float64(), "created_at": pl.Datetime("us")}
    products = products.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in nothing.items())
    return Entities(products, pl.DataFrame(schema={"query_text": pl.String, "query_image": pl.String}))
