"""Suite `m5product`: the M5Product data set (Dong et al., CVPR 2022), as its site documents it.

The site describes a record of `meta_info`: `item_id`, `caption`, `image` (.jpg), `tabular` (properties by name), `label` (the
annotated product class), and says that the category annotations are in the JSON files; its toolkit reads them as one object
by id with `title` for the caption and `pv` for the properties, a text `name#:#value#;#name#:#value`. Lists of ids are given for
query, gallery and training. The names of the files are not documented, so this is our reading of a folder:

- meta_info.json (a list of records, or one object by id) or meta_info.jsonl;
- query.txt, gallery.txt and, to teach probes, train.txt: an item_id a line;
- images/<item_id>.jpg, or the name in `image` below the folder.

All gallery items with the label of a query are right for it (the coarse-grained retrieval task). Queries and gallery are
measured by their label too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl

from openmoon.errors import UserError
from openmoon.evaluation.benchmark.suite import EXAMPLES, POOL, QUERIES, Suite
from openmoon.evaluation.benchmark.suites.records import (
    attribute_table,
    find_file,
    once,
    picture_paths,
    read_records,
    sampled,
)
from openmoon.io import read_lines


def read_m5product(folder: Path, scratch: Path, advance: Callable[[int], object]) -> Suite:
    """Records, lists of ids and pictures of the layout above."""
    path = find_file(folder, ["meta_info.jsonl", "meta_info.json"], "meta_info")
    records = read_records(path, ["item_id", "label"], ["caption", "title", "image", "tabular", "pv"])
    if records["caption"].is_null().all() and records["title"].is_null().all():
        raise UserError(f"{path}: no record has a 'caption' or a 'title'.")
    records, repeated = once(records, ["item_id"], "records")
    records = records.rename({"item_id": "product_id"})
    picture = pl.coalesce("image", pl.format("{}.jpg", "product_id"))
    records = records.with_columns(
        image=picture_paths(folder, records.select(picture).to_series()), title=pl.coalesce("caption", "title"),
        category="label", example_id="product_id",
    )  # fmt: skip
    query, gallery = (_listed(folder, name, records) for name in ("query", "gallery"))
    train = sampled(_listed(folder, "train", records)) if (folder / "train.txt").is_file() else records.clear()
    notes = repeated if len(train) else [*repeated, "there is no train.txt, so nothing can teach a probe"]
    listed = gallery.height
    gallery = gallery.join(query, on="product_id", how="anti", maintain_order="left")  # nobody is to find itself
    if itself := listed - gallery.height:
        notes.append(f"{itself:,} of {listed:,} gallery items are queries too and are not in the pool")
    asked = query.select("label", query_text="title", query_image="image")
    right = asked.join(gallery.select("label", "product_id"), on="label", maintain_order="left_right")
    if unanswered := query.join(gallery, on="label", how="anti").height:
        notes.append(f"{unanswered:,} of {query.height:,} queries are left out: no gallery item has their label")
    measured = pl.concat([query, gallery]).unique("product_id", keep="first", maintain_order=True)
    examples = pl.concat([
        measured.with_columns(split=pl.lit("test")),
        train.join(measured, on="product_id", how="anti", maintain_order="left").with_columns(split=pl.lit("train")),
    ])  # fmt: skip
    told = examples.select(pl.coalesce("tabular", "pv")).to_series()
    found = [_properties(text) for text in told]
    attributes, more = attribute_table(found)
    if unread := [text for text, properties in zip(told, found, strict=True) if not properties and len(text or "") > 1]:
        notes.append(f"of {len(unread):,} of {examples.height:,} items the properties cannot be told apart, such as "
                     f"{unread[0][:60]!r}; expected an object by name, or name#:#value#;#name#:#value")  # fmt: skip
    elif not attributes.width:
        notes.append("no record has properties ('tabular' or 'pv'), so no attributes are predicted")
    if absent := examples["image"].null_count():
        notes.append(f"{absent:,} of {examples.height:,} items have no picture in {folder / 'images'}")
    return Suite("m5product", gallery.select(POOL), right.select(QUERIES), examples.select(EXAMPLES), attributes,
                 notes=(*notes, *more))  # fmt: skip


def _listed(folder: Path, name: str, records: pl.DataFrame) -> pl.DataFrame:
    """The records of a list of ids, in its order; `UserError` for ids without a record."""
    path = find_file(folder, [f"{name}.txt"], f"list of {name} ids")
    ids = read_lines(path)
    found = pl.DataFrame({"product_id": ids}, schema={"product_id": pl.String}).unique(maintain_order=True)
    unknown = found.join(records, on="product_id", how="anti")
    if not ids:
        raise UserError(f"{path}: lists no id; expected an item_id a line. Where there is no {name} list, remove the file.")
    if len(unknown):
        raise UserError(f"{path}: {len(unknown):,} of its {len(found):,} ids have no record in meta_info, such as "
                        f"{unknown['product_id'][0]}.")  # fmt: skip
    return found.join(records, on="product_id", how="left", maintain_order="left")


def _properties(text: str | None) -> dict[str, str]:
    """Names and values of an object as JSON, or of name#:#value#;#name#:#value; {} of anything else. Of a name that comes again
    the first value counts."""
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = {}
        for name, mark, value in (part.partition("#:#") for part in text.split("#;#")):
            if mark and name.strip():
                found.setdefault(name.strip(), value)
    if not isinstance(found, dict):
        return {}
    return {str(name): str(value).strip() for name, value in found.items() if value not in (None, "") and name != "category"}
