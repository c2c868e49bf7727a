"""A few rows in the layouts of TAOBAO-MM, made up: the columns are the data set's, the numbers are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

IDS, LIST = pa.int64(), pa.list_(pa.int64())
LABEL = ("label_0", pa.list_(pa.int8()))
USER = [("129_1", IDS), *((f"130_{n}", IDS) for n in range(1, 6)), ("150_2_180", LIST), ("151_2_180", LIST)]
ITEM = [("205", IDS), ("206", IDS), ("213", IDS), ("214", IDS)]
SCHEMAS = {
    "shard": pa.schema([LABEL, *USER, *ITEM]),
    "samples": pa.schema([LABEL, USER[0], ITEM[0]]),
    "user_features": pa.schema(USER),
    "item_features": pa.schema(ITEM),
    "scl": pa.schema([("205", IDS), ("205_c", pa.list_(pa.int8()))]),
}
SCL = "scl_embedding_int8_p90.parquet"


@dataclass(frozen=True)
class Data:
    """`train` and `test`: (clicked, user, item); histories of users, categories and int8 vectors (128,) of items, by id."""

    train: list[tuple[int, int, int]]
    test: list[tuple[int, int, int]]
    histories: dict[int, list[int]]
    category: dict[int, int]
    vectors: dict[int, np.ndarray]

    def rows(self, part: str) -> list[dict[str, Any]]:
        """The samples of a part, joined."""
        return [{"label_0": [1 - clicked, clicked], **self.user(user), **self.item(item)}
                for clicked, user, item in getattr(self, part)]  # fmt: skip

    def user(self, user: int) -> dict[str, Any]:
        """Features of a user."""
        past = self.histories.get(user, [])
        fields = {f"130_{n}": -n for n in range(1, 6)}
        return {"129_1": user, **fields, "150_2_180": past, "151_2_180": [self.category.get(item, 0) for item in past]}

    def item(self, item: int) -> dict[str, Any]:
        """Features of an item."""
        return {"205": item, "206": self.category.get(item, 0), "213": 7, "214": -8}


def made_up(users: int = 30, samples: int = 240, seed: int = 0) -> Data:
    """Users who click what is of the category of their histories. Ids are of any sign, histories of 0 to 12 items, and one item
    has no vector."""
    random = np.random.default_rng(seed)
    items = [int(number) for number in random.choice(10**17, 40, replace=False) - 5 * 10**16]
    kinds = [-11, 12, 13, -14]
    category = {item: kinds[place % 4] for place, item in enumerate(items)}
    centre = {kind: random.normal(size=128) for kind in kinds}
    vectors = {item: centre[kind] + 0.5 * random.normal(size=128) for item, kind in category.items()}
    names = [int(number) for number in random.choice(10**17, users, replace=False) - 5 * 10**16]
    likes = {user: kinds[place % 4] for place, user in enumerate(names)}
    histories = {}
    for place, user in enumerate(names):
        liked = [item for item in items if category[item] == likes[user]]
        histories[user] = [int(item) for item in random.choice(liked if place % 3 else items, place % 13)]

    def drawn(count: int) -> list[tuple[int, int, int]]:
        found = []
        for user in np.sort(random.integers(0, users, count)):  # samples of a user lie together, as in the data set
            item = items[int(random.integers(len(items)))]
            likely = 0.8 if category[item] == likes[names[user]] else 0.1
            found.append((int(random.random() < likely), names[user], item))
        return found

    scaled = {item: np.trunc(127 * vector / np.linalg.norm(vector)).astype(np.int8) for item, vector in vectors.items()}
    del scaled[items[0]]
    return Data(drawn(samples), drawn(samples // 3), histories, category, scaled)


def write(name: str, rows: Sequence[dict[str, Any]], path: Path, group: int = 1000) -> Path:
    """One file of a schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMAS[name]), path, row_group_size=group)
    return path


def write_vectors(data: Data, folder: Path) -> Path:
    """The table of SCL vectors."""
    return write("scl", [{"205": item, "205_c": vector.tolist()} for item, vector in data.vectors.items()], folder / SCL)


def write_joined(data: Data, folder: Path, shards: int = 2, group: int = 50) -> Path:
    """Shards in train/ and test/, vectors in raw/, as in the published release."""
    for part in ("train", "test"):
        rows = data.rows(part)
        cuts = np.linspace(0, len(rows), shards + 1).astype(int)
        for number, (start, end) in enumerate(pairwise(cuts)):
            write("shard", rows[start:end], folder / part / f"{part}-shard-{number:06d}.parquet", group)
    write_vectors(data, folder / "raw")
    return folder


def write_split(data: Data, folder: Path) -> Path:
    """Samples and features in files of their own."""
    for part in ("train", "test"):
        write("samples", data.rows(part), folder / f"{part}_samples.parquet", 70)
        write("user_features", [data.user(user) for user in data.histories], folder / f"{part}_user_features.parquet", 11)
    write("item_features", [data.item(item) for item in data.category], folder / "item_features.parquet")
    write_vectors(data, folder)
    return folder


def but(data: Data, **changes: Any) -> Data:
    """The same with other fields."""
    return replace(data, **changes)
