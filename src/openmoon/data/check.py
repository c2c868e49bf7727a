"""What is in a shop and what is wrong with it, before anything is trained on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from openmoon.config import DataConfig, SplitConfig
from openmoon.data.families import look_alikes, split_catalog
from openmoon.data.image_cache import ImageCache
from openmoon.data.schema import CATALOG, CREATIVES, EVENTS, QUERIES, REJECTED
from openmoon.data.shop import NoProduct, Shop, load_shop, unread_columns
from openmoon.errors import UserError
from openmoon.io import atomic_path, write_json

EXAMPLES = 5
FIRST_LOG = datetime(1990, 1, 1)  # no shop has logged clicks before


@dataclass(frozen=True)
class TableCheck:
    """Usable rows of a table, rejected rows, and empty values per optional column."""

    rows: int
    rejected: int
    empty: dict[str, int]


@dataclass(frozen=True)
class CheckReport:
    """The findings of `check_shop`; all values are counts, but for the examples (lists of product ids or paths)."""

    tables: dict[str, TableCheck]
    rejected: dict[str, int]  # "table: reason" → rows
    pictures: int  # distinct files that the tables name
    unreadable: dict[str, int]  # reason → files
    unreadable_such_as: dict[str, str]  # reason → one of them
    warnings: dict[str, int]  # what is odd but used all the same
    unread: dict[str, list[str]]  # table → columns that nothing reads
    examples: dict[str, list[list[str]]]  # warning → a few groups of product ids or query photos
    split: dict[str, int]  # products in each split
    errors: list[str]  # why steps would not start

    def __rich__(self) -> RenderableType:
        return Group(*_render(self))


def check_shop(
    config: DataConfig, images: ImageCache, out: Path, progress: Callable[[int], object] | None = None,
    refusals: Callable[[Shop], list[str]] = lambda shop: [],
) -> CheckReport:  # fmt: skip
    """Read all tables and pictures of a shop and count what is there, missing, wrong, duplicated or leaking.

    Pictures are decoded into `images` (`progress(n)` is called as they are done). Writes `out`/rejected.parquet, one
    row for every table row and picture that cannot be used, and `out`/check.json. `refusals` says of a shop whose products can be
    split why steps would not start on it. Raises `UserError` as `load_shop` does.
    """
    rejected = Path(out) / "rejected.parquet"
    try:
        shop = load_shop(config)
    except NoProduct as nothing:
        write_rejected(rejected, nothing.rejected)
        raise NoProduct(nothing.path, nothing.rejected, f"{rejected} has them all") from None
    named = {name: shop.image_path(name) for name in shop.picture_names()}
    unreadable = images.fill(list(named.values()), progress=progress)
    keys = dict(zip(named, images.readable(list(named.values())), strict=True))
    sides, split_error = _sides(shop, keys, images, config.split)
    alike, examples = _duplicates(_pictures(shop, keys, sides, config.split.by), images, config.split)
    reasons = {path: _short(reason) for path, reason in unreadable.items()}
    report = CheckReport(
        tables=_count_tables(shop),
        rejected=_counts(shop.rejected.select(pl.col("table") + ": " + _kind(pl.col("reason"))).to_series()),
        pictures=len(named),
        unreadable=_counts(pl.Series(list(reasons.values()), dtype=pl.String)),
        unreadable_such_as={reason: str(path) for path, reason in reversed(reasons.items())},
        warnings={what: count for what, count in {**_odd_rows(shop, keys), **alike}.items() if count},
        unread=unread_columns(config),
        examples=examples,
        split=_counts(sides["split"]) if sides is not None else {},
        errors=refusals(shop) if split_error is None else [split_error],
    )
    write_rejected(rejected, pl.concat([shop.rejected, unreadable_rows(shop, unreadable)]))
    write_json(Path(out) / "check.json", asdict(report))
    return report


def write_rejected(path: Path, rejected: pl.DataFrame) -> None:
    """Write a table of rejected rows, whole or not at all."""
    with atomic_path(path) as temporary:
        rejected.write_parquet(temporary)


def unreadable_rows(shop: Shop, unreadable: dict[Path, str]) -> pl.DataFrame:
    """Rejected rows (table "images") for pictures that cannot be used: one for every product that shows it, in the catalogue or
    in a creative; one without a product_id for a photo of a query."""
    schema = {"record": pl.String, "reason": pl.String}
    rows = pl.DataFrame([(str(path), reason) for path, reason in unreadable.items()], schema, orient="row")
    tables = [table for table in (shop.catalog, shop.creatives) if table is not None]
    owners = pl.concat([table.select("product_id", record=shop.image_paths(pl.col("image"))) for table in tables])
    owners = owners.drop_nulls().unique(maintain_order=True)
    joined = rows.join(owners, on="record", how="left", maintain_order="left")
    return joined.select(
        pl.lit("images").alias("table"), pl.lit(None, pl.Int64).alias("row"), "product_id", "reason", "record"
    ).match_to_schema(REJECTED)


def _count_tables(shop: Shop) -> dict[str, TableCheck]:
    tables = {}
    for spec in (CATALOG, EVENTS, CREATIVES, QUERIES):
        table: pl.DataFrame | None = getattr(shop, spec.name)
        if table is not None:
            optional = [c.name for c in spec.columns if not c.required and not c.fallback]
            empty = table.select(optional).null_count().row(0, named=True)
            rejected = shop.rejected.filter(table=spec.name).height
            tables[spec.name] = TableCheck(table.height, rejected, {name: n for name, n in empty.items() if n})
    return tables


def _short(reason: str) -> str:
    """Why a picture is no picture, without what differs from file to file; why a file cannot be read in full."""
    return reason if reason.startswith("cannot be read") else reason.split(":")[0]


def _kind(reason: pl.Expr) -> pl.Expr:
    """The reason without the value that it quotes, so that equal mistakes are counted together."""
    return reason.str.replace_all(r"(?s): '.*?'(; |$)", "${1}")


def _counts(values: pl.Series) -> dict[str, int]:
    return dict(values.value_counts(sort=True).iter_rows())


def _odd_rows(shop: Shop, keys: dict[str, str | None]) -> dict[str, int]:
    pictured = pl.col("image").is_in([name for name, key in keys.items() if key is not None])
    bare = pl.col("title").is_null() & pl.col("description").is_null() & ~pictured.fill_null(False)
    odd = {"products without text whose picture cannot be read": shop.catalog.filter(bare).height}
    if shop.events is None:
        return odd
    events = shop.events.join(shop.catalog.select("product_id", "created_at"), on="product_id", how="left")
    early = events.select((pl.col("timestamp") < pl.col("created_at")).sum()).item()
    back = shop.events.select((pl.col("timestamp") < pl.col("timestamp").shift().over("user_id")).sum()).item()
    likely = pl.col("timestamp").is_between(FIRST_LOG, datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1))
    silent = shop.catalog.join(shop.events, on="product_id", how="anti").height
    odd |= {
        "events before the previous event of their user (times out of order)": back,
        "events before their product was created": early,
        f"events before {FIRST_LOG.year} or after today (a number for an unknown time?)": shop.events.filter(~likely).height,
        "products without any event": silent,
    }
    if shop.creatives is not None:
        known = pl.col("creative_id").is_in(shop.creatives["creative_id"].implode())
        odd["events whose creative_id is not in creatives"] = shop.events.select((~known).sum()).item()
    return odd


def _sides(
    shop: Shop, keys: dict[str, str | None], images: ImageCache, config: SplitConfig
) -> tuple[pl.DataFrame | None, str | None]:
    key = pl.col("image").replace_strict(keys, default=None, return_dtype=pl.String)
    try:
        return split_catalog(shop.catalog.with_columns(image_key=key), images, config), None
    except UserError as error:  # a finding like the others here; training on it stops with the same line
        return None, str(error)


def _pictures(shop: Shop, keys: dict[str, str | None], sides: pl.DataFrame | None, by: str) -> pl.DataFrame:
    """key, kind (catalog or query), name (product id or photo), spu_id, side for every use of a readable picture."""
    products = shop.catalog.select("product_id", "spu_id", "image")
    if sides is None or by == "given":
        products = products.with_columns(split=pl.lit(None, pl.String))
    else:
        products = products.join(sides, on="product_id", how="left", maintain_order="left")
    uses = [products.select("image", "spu_id", kind=pl.lit("catalog"), name="product_id", side="split")]
    if shop.events is not None:
        photos = shop.events.filter(pl.col("query_image").is_not_null()).unique("query_image", maintain_order=True)
        photos = photos.select("product_id", "query_image", label="split").join(products, on="product_id", how="left")
        side = "label" if by == "given" else "split"
        uses.append(photos.select("spu_id", image="query_image", kind=pl.lit("query"), name="query_image", side=side)
                    .select(uses[0].columns))  # fmt: skip
    readable = {name: key for name, key in keys.items() if key is not None}
    key = pl.col("image").replace_strict(readable, default=None, return_dtype=pl.String)
    return pl.concat(uses).with_columns(key=key).filter(pl.col("key").is_not_null())


def _duplicates(
    pictures: pl.DataFrame, images: ImageCache, config: SplitConfig
) -> tuple[dict[str, int], dict[str, list[list[str]]]]:
    """Groups of pictures that look the same, where that matters: other SPU, other split, query = catalogue picture."""
    keys = pictures["key"].unique(maintain_order=True)
    if keys.is_empty():
        return {}, {}
    labels = pl.DataFrame({"key": keys, "group": look_alikes(keys.to_list(), images)})
    pictures = pictures.join(labels, on="key", how="left", maintain_order="left")
    products, photos = pictures.filter(kind="catalog"), pictures.filter(kind="query")
    several = pl.col("side").n_unique() > 1
    handled = "only the pairs of one split are used" if config.by_looks else "leakage"
    findings = {
        "groups of products of different SPUs with one picture": _groups(products, pl.col("spu_id").n_unique() > 1),
        "groups of products in different splits with one picture (leakage)": _groups(products, several),
        "groups of query photos that are the same picture": _groups(photos, pl.len() > 1),
        f"groups of query photos in different splits that are the same picture ({handled})": _groups(photos, several),
        "groups in which a query photo is a catalogue picture": _groups(pictures, pl.col("kind").n_unique() > 1),
    }
    examples = {what: names.head(EXAMPLES).to_list() for what, names in findings.items() if len(names)}
    return {what: len(names) for what, names in findings.items()}, examples


def _groups(pictures: pl.DataFrame, odd: pl.Expr) -> pl.Series:
    """The names in each group for which `odd` holds."""
    grouped = pictures.group_by("group", maintain_order=True).agg(odd.alias("odd"), pl.col("name"))
    return grouped.filter("odd")["name"]


def told_unread(unread: dict[str, list[str]]) -> list[str]:
    """A line of markup for each table with columns that nothing reads."""
    remedy = {"catalog": "data.columns.catalog, or in data.attributes to make them attributes"}
    return [
        f"[yellow]{name}: {', '.join(map(escape, columns))} not read[/]: if they are needed, name them in "
        f"{remedy.get(name, f'data.columns.{name}')}"
        for name, columns in unread.items()
    ]


def _render(report: CheckReport) -> Iterator[RenderableType]:
    tables = Table("table", "rows", "rejected", "empty values", title="Tables", title_justify="left")
    for name, table in report.tables.items():
        empty = ", ".join(f"{column} {count:,}" for column, count in table.empty.items())
        tables.add_row(name, f"{table.rows:,}", f"{table.rejected:,}", empty or "none")
    yield tables
    yield from told_unread(report.unread)
    unreadable = sum(report.unreadable.values())
    yield f"{report.pictures:,} pictures, {unreadable:,} unreadable"
    if report.split:
        yield "products: " + ", ".join(f"{count:,} {side}" for side, count in report.split.items())
    yield from (f"[red]{escape(error)}[/]" for error in report.errors)
    pictures = {f"{reason}, such as {report.unreadable_such_as[reason]}": n for reason, n in report.unreadable.items()}
    for title, counts in (("Rejected rows", report.rejected), ("Unreadable pictures", pictures), ("Warnings", report.warnings)):
        if counts:
            lines = Table("count", "what", title=title, title_justify="left")
            for what, count in counts.items():
                lines.add_row(f"{count:,}", escape(what))
            yield lines
