"""Suites `mbe` and `mbe2`: the benchmarks of MOON (`Daoze/MM-Bench-E-Commerce`) and MOON2.0 (`ZHNie/MBE2.0`).

The layout as far as public code that reads MBE shows it: a JSON-lines file per split, whose name holds "test" or "train",
with a product a line: `id`, `doc_title`, `doc_image` (an address or a file name), `doc_industry_name`, `doc_cate1_name` …
`doc_cate4_name`, `doc_attributes` ("name:value,,name:value", several values joined by "!!!"). What follows is our reading:

- the purchase that makes a line a labelled query is in `query_title` and `query_image`; without both fields the queries are
  the products' own title and picture;
- lines with equal title and picture are one product, called by the `id` of the first;
- pictures lie in the data folder under their name, or in its `images/` under the last part of their address;
- a train line whose id, or title and picture, is in the test file teaches nothing;
- the category of the zero-shot task is the finest `doc_cate…_name`; industry and coarser levels are probed.

No public description of MBE2.0's fields was found. It is read by the same names; where they differ, the error lists what the
file has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from openmoon.errors import UserError
from openmoon.evaluation.benchmark.suite import EXAMPLES, POOL, QUERIES, Suite, own_queries
from openmoon.evaluation.benchmark.suites.records import (
    MOST_TAUGHT,
    attribute_table,
    find_shards,
    picture_paths,
    read_records,
    require_shards,
)

FIELDS = ("id", "doc_title", "doc_image", "doc_cate1_name", "doc_attributes")
LEVELS = ("doc_industry_name", "doc_cate1_name", "doc_cate2_name", "doc_cate3_name", "doc_cate4_name")
ASKED = ("query_title", "query_image")


def read_mbe(folder: Path, scratch: Path, advance: Callable[[int], object]) -> Suite:
    """MBE, 410,000 test and 2.7 million train lines."""
    return _read("mbe", folder)


def read_mbe2(folder: Path, scratch: Path, advance: Callable[[int], object]) -> Suite:
    """MBE2.0, by the field names of MBE."""
    return _read("mbe2", folder)


def _read(name: str, folder: Path) -> Suite:
    test = _lines(require_shards(folder, "test"), "test", None)
    files = find_shards(folder, "train")
    train = _lines(files, "train", MOST_TAUGHT) if files else test.clear()
    notes = [] if len(train) else ["there is no train file, so nothing can teach a probe"]
    everything, same = pl.concat([test, train]), ["split", "doc_title", "doc_image"]
    first = everything.unique(["split", "id"], keep="first", maintain_order=True)
    both = everything.join(first, on=["id", *same], how="semi", nulls_equal=True, maintain_order="left")
    if others := len(everything) - len(both):
        notes.append(f"{others:,} lines are left out: an earlier line of their id has another title or picture")
    test, train = both.filter(split="test"), both.filter(split="train")
    both = both.with_columns(product_id=pl.col("id").first().over([pl.col(c).fill_null("") for c in same]))
    both = both.with_columns(image=picture_paths(folder, both["doc_image"]), title=pl.col("doc_title"))
    if absent := both.filter(pl.col("doc_image").is_not_null() & pl.col("image").is_null()).height:
        notes.append(f"{absent:,} of {both.height:,} lines name a picture that is not in {folder}")
    lines, taught = both.filter(split="test"), both.filter(split="train")
    for key in (["id"], ["doc_title", "doc_image"]):
        taught = taught.join(test, on=key, how="anti", nulls_equal=True, maintain_order="left")
    if met := len(train) - len(taught):
        notes.append(f"{met:,} of {len(train):,} train lines are products of the test file and teach no probe")
    products = pl.concat([lines, taught]).unique(["split", "product_id"], keep="first", maintain_order=True)
    pool = products.filter(split="test").select(POOL)
    if lines.select(pl.all_horizontal(pl.col(ASKED).is_null().all())).item():
        queries, own = own_queries(pool), {"text", "image"}
        notes.append("the lines have no query_title and query_image: the queries are the products' own titles and pictures")
    else:
        asked = lines.with_columns(query_image=picture_paths(folder, lines["query_image"]), query_text=pl.col("query_title"))
        queries, own = asked.select(QUERIES), set()
    category = pl.coalesce(*(pl.col(level) for level in reversed(LEVELS[1:])))
    examples = products.with_columns(category=category, example_id=pl.col("product_id"))
    found = []
    for product_id, text in products.select("product_id", "doc_attributes").iter_rows():
        try:
            found.append(_attributes(text))
        except ValueError as error:
            raise UserError(f"{folder}: record {product_id!r}: {error}.") from error
    attributes, more = attribute_table(found)
    levels = examples.select(**{level.removeprefix("doc_").removesuffix("_name"): level for level in LEVELS[:-1]})
    return Suite(
        name, pool, queries, examples.select(EXAMPLES), pl.concat([levels, attributes], how="horizontal"),
        own=frozenset(own), notes=(*notes, *more),
    )  # fmt: skip


def _lines(paths: Sequence[Path], split: str, most: int | None) -> pl.DataFrame:
    optional = [name for name in (*LEVELS, *ASKED) if name not in FIELDS]
    parts = [read_records(path, FIELDS, optional, most and -(-most // len(paths))) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        if nameless := part["id"].null_count():
            raise UserError(f"{path}: {nameless:,} of {len(part):,} records have no 'id'; expected one in each.")
    return pl.concat(parts).with_columns(split=pl.lit(split))


def _attributes(text: str | None) -> dict[str, str]:
    """"name:value,,name:value", or an object as JSON, → names and values; what has no value is left out."""
    if (text or "").startswith("{"):
        try:
            found = {str(name): str(value).strip() for name, value in json.loads(text or "").items() if value is not None}
        except ValueError as error:
            raise ValueError(f"doc_attributes is no object: {(text or '')[:60]!r}; expected name:value,,name:value, "
                             "or an object as JSON") from error  # fmt: skip
    else:
        pairs = (pair.partition(":") for pair in (text or "").split(",,"))
        found = {name.strip(): value.replace("!!!", ", ").strip() for name, _, value in pairs}
    return {name: value for name, value in found.items() if name and value and name not in _TAKEN}


_TAKEN = {level.removeprefix("doc_").removesuffix("_name") for level in LEVELS} | {"category"}
