"""Suite `fashion200k`: the Fashion200K data set (Han et al., ICCV 2017) as it unpacks.

`labels/<garment>_<train|test>_detect_all.txt` hold a picture a line, tab-separated: path, detection score, description. Paths
are `women/<garments>/<kind>/<product>/<product>_<n>.jpeg`, below the data folder. Pictures of one folder show one product.

Our reading: a product is that folder; its description and its first picture are the item, its description and another picture
the query, so that a description finds pictures only. The category is the kind (`casual_and_day_dresses`); the garment is
probed. Descriptions name colour, cut and material, but there are no labels of these.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from openmoon.errors import UserError
from openmoon.evaluation.benchmark.suite import EXAMPLES, POOL, QUERIES, Suite
from openmoon.evaluation.benchmark.suites.records import sampled


def read_fashion200k(folder: Path, scratch: Path, advance: Callable[[int], object]) -> Suite:
    """The label files of all garments, and the pictures that are there."""
    lines, broken = _lines(folder)
    notes = [f"{broken:,} lines of the label files are left out: not path, score and description"] if broken else []
    present = {name: str(folder / name) for name in lines["path"] if (folder / name).is_file()}
    if absent := lines.height - lines["path"].is_in(list(present)).sum():
        notes.append(f"{absent:,} of {lines.height:,} pictures are not in {folder}")
    pictures = lines.with_columns(image=pl.col("path").replace_strict(present, default=None, return_dtype=pl.String))
    products = pictures.group_by("product_id", maintain_order=True).agg(
        pl.col("split").sort().first(),  # "test" before "train": what is measured was not taught
        pl.col("title", "category", "garment").first(),
        pl.col("image").drop_nulls().first(),
        pl.col("image").drop_nulls().get(1, null_on_oob=True).alias("query_image"),
    )
    test, train = products.filter(split="test"), sampled(products.filter(split="train"))
    examples = pl.concat([test, train]).with_columns(example_id=pl.col("product_id"))
    queries = test.with_columns(query_text=pl.col("title")).select(QUERIES)
    return Suite("fashion200k", test.select(POOL), queries, examples.select(EXAMPLES), examples.select("garment"),
                 own=frozenset({"text"}), notes=tuple(notes))  # fmt: skip


def _lines(folder: Path) -> tuple[pl.DataFrame, int]:
    """path, title, product_id, category, garment, split of every line, and the number of broken ones."""
    files = sorted((folder / "labels").glob("*_detect_all.txt"))
    tables, broken = [], 0
    for file in files:
        garment, _, split = file.name.removesuffix("_detect_all.txt").rpartition("_")
        if split not in ("train", "test"):
            raise UserError(f"{file}: expected a name such as dress_test_detect_all.txt.")
        texts = pl.Series("line", file.read_text(encoding="utf-8", errors="replace").split("\n"), pl.String)
        parts = texts.filter(texts.str.strip_chars() != "").str.splitn("\t", 3).struct.unnest()
        parts.columns = ["path", "score", "title"]
        place = pl.col("path").str.split("/")
        table = parts.with_columns(
            pl.col("title").str.strip_chars(), product_id=place.list.get(-2, null_on_oob=True),
            category=place.list.get(-3, null_on_oob=True).str.replace_all("_", " "),
            garment=pl.lit(garment), split=pl.lit(split),
        )  # fmt: skip
        good = table.filter(pl.all_horizontal(pl.col("title", "product_id", "category").is_not_null()))
        broken += table.height - good.height
        tables.append(good.drop("score"))
    lines = pl.concat(tables) if tables else None
    if lines is None or "test" not in lines["split"]:
        raise UserError(f"{folder}: no usable line in labels/<garment>_test_detect_all.txt; --data takes the folder that "
                        "holds labels/ and women/ of Fashion200K.")  # fmt: skip
    return lines, broken
