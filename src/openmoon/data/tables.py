"""Reading the tables of a shop from Parquet or CSV, or from frames, without losing a row.

Whatever is wrong with a row puts it, with the reason, among the rejected ones; whatever is wrong with a whole file or
column is a `UserError`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from openmoon.data import attributes as attribute_json
from openmoon.data.coerce import EXPECTED, clean, coerce
from openmoon.data.csv_file import ROW, read_csv
from openmoon.data.schema import REJECTED, TableSpec
from openmoon.errors import UserError, closest, nearest


def read_table(
    path: Path,
    spec: TableSpec,
    columns: Mapping[str, str] | None = None,
    attributes: Sequence[str] = (),
    products: pl.Series | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read `path` (.parquet, a folder of them, .csv or .tsv) as the table `spec`.

    `columns` maps our names to the file's; `attributes` are catalogue columns gathered into the JSON `attributes`;
    with `products`, rows of other products are rejected.
    Returns the table and the rejected rows (schema `REJECTED`); together they are all rows of the file.
    Raises `UserError` for a missing or unreadable file, a missing or mistyped column.
    """
    path = Path(path)
    frame, broken = read_csv(path) if _is_csv(path, spec) else (_numbered_from(read_parquet(path), 0), None)
    table, rejected = normalise(frame, spec, columns, attributes, products, str(path))
    if broken is None:
        return table, rejected
    return table, pl.concat([rejected, rejected_lines(spec, broken)]).sort("row")


def iter_table(
    path: Path, spec: TableSpec, columns: Mapping[str, str] | None = None, products: pl.Series | None = None
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """`read_table` in chunks, row group by row group of Parquet, CSV whole; for tables without a key. Good rows also have `row`,
    their number in the file or folder."""
    if spec.unique is not None:
        raise ValueError(f"{spec.name} has a key, and a repeated one can only be found in the whole table")
    path = Path(path)
    chunks = iter([read_csv(path)]) if _is_csv(path, spec) else ((frame, None) for frame in _row_groups(path))
    for frame, broken in chunks:
        good, rejected = _numbered(frame, spec, columns, (), products, str(path))
        yield good.rename({ROW: "row"}), rejected if broken is None else pl.concat([rejected, rejected_lines(spec, broken)])


def _is_csv(path: Path, spec: TableSpec) -> bool:
    """Whether the table is CSV; otherwise it is Parquet. `UserError` where it is neither or not there."""
    if not path.exists():
        raise UserError(f"{path}: no such file; set data.root and data.{spec.name} to where the {spec.name} table is.")
    if path.suffix.lower() in (".csv", ".tsv"):
        return True
    if path.suffix.lower() == ".parquet" or path.is_dir():
        return False
    raise UserError(f"{path}: expected a .parquet, .csv or .tsv file, found {path.suffix or 'no ending'!r}.")


def _row_groups(path: Path) -> Iterator[pl.DataFrame]:
    """Row group by row group, `ROW` counted through all files of a folder."""
    start = 0
    for file in sorted(path.glob("**/*.parquet")) if path.is_dir() else [path]:
        try:
            with pq.ParquetFile(file, pre_buffer=False) as source:
                for number in range(source.num_row_groups):
                    frame = pl.DataFrame(pl.from_arrow(source.read_row_group(number)))
                    yield _numbered_from(frame, start)
                    start += len(frame)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{file}: cannot be read as Parquet ({reason}); write the table again.") from error


def _numbered_from(frame: pl.DataFrame, start: int) -> pl.DataFrame:
    """With `ROW` from `start` on; a column of the file that is called so is left out."""
    return frame.drop(ROW, strict=False).with_row_index(ROW, start)


def rejected_lines(spec: TableSpec, broken: pl.DataFrame) -> pl.DataFrame:
    """The broken lines of `read_csv` in the form of rejected rows."""
    return broken.select(
        pl.lit(spec.name).alias("table"), pl.col(ROW).alias("row"), pl.lit(None, pl.String).alias("product_id"),
        "reason", "record",
    )  # fmt: skip


def normalise(
    frame: pl.DataFrame,
    spec: TableSpec,
    columns: Mapping[str, str] | None = None,
    attributes: Sequence[str] = (),
    products: pl.Series | None = None,
    source: str = "the table",
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`read_table` for a frame in memory; `source` is what messages call it."""
    good, rejected = _numbered(frame, spec, columns, attributes, products, source)
    return good.drop(ROW), rejected


def _numbered(
    frame: pl.DataFrame,
    spec: TableSpec,
    columns: Mapping[str, str] | None,
    attributes: Sequence[str],
    products: pl.Series | None,
    source: str,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`normalise` with `ROW` among the columns of the good rows."""
    if ROW not in frame.columns:
        frame = frame.with_row_index(ROW)
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
    values = _mark_repeats(spec, values.with_columns(_reasons(spec, cleaned, values, products)))
    good = values["reason"].is_null()
    return values.filter(good).drop("reason"), _rejected(spec, values.filter(~good), frame.filter(~good))


def read_parquet(path: Path) -> pl.DataFrame:
    """The table at `path`, or in the folder `path`. Raises `UserError` where it cannot be read."""
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read as Parquet ({reason}); write the table again.") from error


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


def _rejected(spec: TableSpec, values: pl.DataFrame, source: pl.DataFrame) -> pl.DataFrame:
    records = [json.dumps(row, default=str, ensure_ascii=False) for row in source.drop(ROW).iter_rows(named=True)]
    return values.select(
        pl.lit(spec.name).alias("table"), pl.col(ROW).alias("row"), "product_id", "reason",
        pl.Series("record", records, pl.String),
    ).match_to_schema(REJECTED)  # fmt: skip
