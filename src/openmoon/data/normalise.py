"""A foreign table as one of ours: columns matched and converted, every row that does not fit set aside with its reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from openmoon.data import attributes as attribute_json
from openmoon.data.coerce import EXPECTED, clean, coerce
from openmoon.data.csv_file import ROW
from openmoon.data.schema import REJECTED, TableSpec
from openmoon.errors import UserError, closest, nearest


def normalise(
    frame: pl.DataFrame,
    spec: TableSpec,
    columns: Mapping[str, str] | None = None,
    attributes: Sequence[str] = (),
    products: pl.Series | None = None,
    source: str = "the table",
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`tables.read_table` for a frame in memory; `source` is what messages call it."""
    frame = frame if ROW in frame.columns else frame.with_row_index(ROW)
    good, rejected = numbered([frame], spec, columns, attributes, products, source)
    return good.drop(ROW), rejected


def numbered(
    frames: Sequence[pl.DataFrame],
    spec: TableSpec,
    columns: Mapping[str, str] | None,
    attributes: Sequence[str],
    products: pl.Series | None,
    source: str,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`normalise` of a table in parts, which may have one column in different types and number their rows in `ROW`, which is
    among the columns of the good rows."""
    parts = [_values(frame, spec, columns, attributes, products, source) for frame in frames]
    values = _mark_repeats(spec, pl.concat(parts))
    good = values["reason"].is_null()
    bad = values.filter(~good)
    sources = [frame.filter(pl.col(ROW).is_in(bad[ROW].implode())) for frame in frames] if len(bad) else []
    return values.filter(good).drop("reason"), _rejected(spec, bad, sources)


def _values(
    frame: pl.DataFrame,
    spec: TableSpec,
    columns: Mapping[str, str] | None,
    attributes: Sequence[str],
    products: pl.Series | None,
    source: str,
) -> pl.DataFrame:
    """The rows in our types, with `ROW` and in `reason` what is wrong with them."""
    frame = frame.with_columns(pl.col(ROW).cast(pl.Int64))
    names = _match_columns(frame, spec, dict(columns or {}), source)
    _check_attributes(frame, attributes, source)
    cleaned = frame.select(
        ROW, *(clean(pl.col(theirs), frame.schema[theirs]).alias(ours) for ours, theirs in names.items())
    )
    found = {ours: frame.schema[theirs] for ours, theirs in names.items()}
    values = cleaned.select(ROW, *_converted(spec, cleaned, found, names, source))
    if attributes:
        gathered = _gather_attributes(frame, attributes, source)
        values = values.with_columns(_merge_attributes(values, gathered))
    values = values.with_columns(
        pl.col(column.name).fill_null(pl.col(column.fallback)) for column in spec.columns if column.fallback
    )
    return values.with_columns(_reasons(spec, cleaned, values, products))


def _match_columns(frame: pl.DataFrame, spec: TableSpec, mapping: dict[str, str], source: str) -> dict[str, str]:
    """Our names → the file's, for the columns that are there."""
    there = [name for name in frame.columns if name != ROW]
    ours = [column.name for column in spec.columns]
    for name, theirs in mapping.items():
        setting = f"data.columns.{spec.name}.{name}"
        if name not in ours:
            raise UserError(
                f"{setting}: {spec.name} has no column {name!r}.{nearest(name, ours)} Its columns are {_list(ours)}."
            )
        if theirs not in there:
            raise UserError(
                f"{source}: no column {theirs!r}, which {setting} asks for.{nearest(theirs, there)} "
                f"Found {_list(there)}."
            )
    names = {name: mapping.get(name, name) for name in ours}
    names = {name: theirs for name, theirs in names.items() if theirs in there}
    for column in spec.columns:
        if column.required and column.name not in names:
            raise UserError(_missing(source, spec, repr(column.name), column.name, there))
    if spec.one_of and not any(name in names for name in spec.one_of):
        raise UserError(_missing(source, spec, " or ".join(map(repr, spec.one_of)), spec.one_of[0], there))
    return names


def _missing(source: str, spec: TableSpec, wanted: str, name: str, there: Sequence[str]) -> str:
    others = [column for column in there if column not in {known.name for known in spec.columns}]
    theirs = closest(name, others, 0.4) or "<your column>"
    return (f"{source}: no column {wanted}.{nearest(name, others)} Found {_list(there)}. Map yours in the recipe, "
            f"for example data.columns.{spec.name}.{name}={theirs}")  # fmt: skip


def _list(names: Sequence[str]) -> str:
    return ", ".join(name if name.isprintable() else repr(name) for name in names) or "no columns"


def _check_attributes(frame: pl.DataFrame, attributes: Sequence[str], source: str) -> None:
    there = [name for name in frame.columns if name != ROW]
    for name in attributes:
        if name not in there:
            raise UserError(
                f"{source}: no column {name!r}, which data.attributes asks for.{nearest(name, there)} "
                f"Found {_list(there)}."
            )


def _converted(
    spec: TableSpec, cleaned: pl.DataFrame, found: Mapping[str, pl.DataType], names: Mapping[str, str], source: str
) -> Iterator[pl.Expr | pl.Series]:
    for column in spec.columns:
        if column.name not in found:
            yield pl.lit(None, column.dtype).alias(column.name)
        elif column.name == "attributes":
            yield attribute_json.canonical(cleaned["attributes"])
        else:
            value = coerce(pl.col(column.name), found[column.name], column.dtype)
            if value is None:
                raise UserError(
                    f"{source}: column {names[column.name]!r} is {found[column.name]}; {spec.name}."
                    f"{column.name} must be {EXPECTED[column.dtype]}."
                )
            yield (value.str.to_lowercase() if column.name in ("action", "split") else value).alias(column.name)


def _gather_attributes(frame: pl.DataFrame, attributes: Sequence[str], source: str) -> pl.Series:
    texts = []
    for name in attributes:
        found = frame.schema[name]
        text = coerce(clean(pl.col(name), found), found, pl.String())
        if text is None:
            raise UserError(
                f"{source}: column {name!r} is {found}; data.attributes takes plain columns. "
                "A struct or map belongs in data.columns.catalog.attributes."
            )
        texts.append(text.alias(name))
    return frame.select(texts).select(attribute_json.gather(attributes).alias("attributes")).to_series()


def _merge_attributes(values: pl.DataFrame, gathered: pl.Series) -> pl.Series:
    """A product's own attributes and those from columns; of two with one name its own."""
    pairs = zip(values["attributes"], gathered, strict=True)
    merged = [attribute_json.joined(own, more) if own and more else own or more for own, more in pairs]
    return pl.Series("attributes", merged, pl.String)


def _reasons(spec: TableSpec, cleaned: pl.DataFrame, values: pl.DataFrame, products: pl.Series | None) -> pl.Series:
    """Everything that is wrong with each row, joined by "; "; null for a good row."""
    reasons = []
    for column in spec.columns:
        if column.name in cleaned.columns:
            unread = cleaned[column.name].is_not_null() & values[column.name].is_null()
            expected = "a JSON object" if column.name == "attributes" else EXPECTED[column.dtype]
            text = pl.format(f"{column.name} is not {expected}: '{{}}'", _shown(cleaned[column.name]))
            reasons.append(pl.when(unread).then(text))
            if column.required:
                empty = cleaned[column.name].is_null()
                reasons.append(pl.when(empty).then(pl.lit(f"{column.name} is empty")))
    reasons += [pl.when(rows).then(pl.lit(reason)) for reason, rows in spec.broken.items()]
    if spec.one_of:
        nothing = pl.all_horizontal(pl.col(name).is_null() for name in spec.one_of)
        reasons.append(pl.when(nothing).then(pl.lit(f"none of {', '.join(spec.one_of)} is given")))
    if products is not None:
        unknown = ~pl.col("product_id").is_in(products.implode())
        reasons.append(pl.when(unknown).then(pl.format("product_id is not in the catalog: '{}'", "product_id")))
    joined = pl.concat_str(reasons, separator="; ", ignore_nulls=True)
    return values.select(pl.when(joined != "").then(joined).alias("reason")).to_series()


def _shown(values: pl.Series) -> pl.Series:
    return pl.Series(["another type"]) if values.dtype.is_nested() else values.cast(pl.String).str.slice(0, 60)


def _mark_repeats(spec: TableSpec, values: pl.DataFrame) -> pl.DataFrame:
    """Of good rows with one key the first stays."""
    if spec.unique is None:
        return values
    good = pl.col("reason").is_null()
    repeated = good & ~pl.struct(good, spec.unique).is_first_distinct()
    reason = pl.format(f"{spec.unique} repeats an earlier row: '{{}}'", spec.unique)
    return values.with_columns(pl.when(repeated).then(reason).otherwise("reason").alias("reason"))


def _rejected(spec: TableSpec, values: pl.DataFrame, sources: Sequence[pl.DataFrame]) -> pl.DataFrame:
    rows = (row for source in sources for row in source.drop(ROW).iter_rows(named=True))
    records = [json.dumps(row, default=str, ensure_ascii=False) for row in rows]
    return values.select(
        pl.lit(spec.name).alias("table"), pl.col(ROW).alias("row"), "product_id", "reason",
        pl.Series("record", records, pl.String),
    ).match_to_schema(REJECTED)  # fmt: skip
