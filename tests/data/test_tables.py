"""Tables from any reasonable file; no row is ever lost and every rejection has its reason."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmoon.data.normalise import normalise
from openmoon.data.schema import CATALOG, CREATIVES, EVENTS, QUERIES, REJECTED, TableSpec
from openmoon.data.tables import iter_table, read_table
from openmoon.errors import UserError

CELL = st.one_of(
    st.none(), st.sampled_from(["", " ", "1", "2", "2.0", "0.5", "-1", "nan", "click", "CART", "2024-01-02", "[1]"]),
    st.text(max_size=5),
)  # fmt: skip


def frames(spec: TableSpec) -> st.SearchStrategy[pl.DataFrame]:
    names = [column.name for column in spec.columns]
    rows = st.lists(st.lists(CELL, min_size=len(names), max_size=len(names)), max_size=20)
    return rows.map(lambda cells: pl.DataFrame(cells, dict.fromkeys(names, pl.String), orient="row"))


@pytest.mark.parametrize("spec", [CATALOG, EVENTS, CREATIVES, QUERIES], ids=lambda spec: spec.name)
@given(data=st.data())
def test_no_row_is_lost_and_good_rows_obey_the_spec(spec: TableSpec, data: st.DataObject) -> None:
    frame = data.draw(frames(spec))
    table, rejected = normalise(frame, spec)
    assert table.height + rejected.height == frame.height
    assert dict(table.schema) == {column.name: column.dtype for column in spec.columns}
    assert dict(rejected.schema) == REJECTED
    assert rejected["reason"].null_count() == 0
    assert (rejected["reason"] != "").all()
    for column in spec.columns:
        if column.required:
            assert table[column.name].null_count() == 0
    if spec.unique:
        assert table[spec.unique].is_unique().all()
    for row, record in rejected.select("row", "record").iter_rows():
        assert json.loads(record) == frame.row(row, named=True)


def event(**cells: Any) -> dict[str, Any]:
    return {"user_id": 1, "timestamp": "2024-05-01T10:00:00", "action": "click", "product_id": 7} | cells


def one(spec: TableSpec, row: dict[str, Any], **options: Any) -> tuple[dict[str, Any] | None, str | None]:
    """The normalised row, or the reason against it."""
    table, rejected = normalise(pl.DataFrame([row], strict=False), spec, **options)
    return (table.row(0, named=True), None) if table.height else (None, rejected["reason"][0])


NOON = dt.datetime(2024, 5, 1, 12, 0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1714564800, NOON), (1714564800.5, NOON.replace(microsecond=500000)), (1714564800000, NOON),
        ("1714564800", NOON), ("1714564800000", NOON), ("2024-05-01 12:00", NOON), ("2024-05-01T12:00:00Z", NOON),
        ("2024-05-01T14:00:00+02:00", NOON), ("2024-05-01 06:30:00.25-0530", NOON.replace(microsecond=250000)),
        ("2024-05-01 14:00:00+02", NOON), ("2024-05-01T08:00-04", NOON),
        ("2024-05-01", NOON.replace(hour=0)), (NOON, NOON), (dt.date(2024, 5, 1), NOON.replace(hour=0)),
        (dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC), NOON), ("20240501", NOON.replace(hour=0)), (20240501, NOON.replace(hour=0)),
    ],
)  # fmt: skip
def test_times(value: Any, expected: dt.datetime) -> None:
    row, reason = one(EVENTS, event(timestamp=value))
    assert reason is None
    assert row is not None
    assert row["timestamp"] == expected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (event(timestamp="01/05/2024"), "timestamp is not a time"),
        (event(timestamp="2024-13-01"), "timestamp is not a time"),
        (event(timestamp=None), "timestamp is empty"),
        (event(timestamp="20241301"), "timestamp is not a time"),
        (event(timestamp="0000-01-01"), "timestamp is not a time"),
        (event(timestamp="9999-12-31T23:59:59-23:59"), "timestamp is not a time"),
        (event(timestamp=-(2**63)), "timestamp is not a time"),
        (event(timestamp=b"\xff"), "timestamp is not a time"),
        (event(action="view"), "action is none of"),
        (event(product_id=" "), "product_id is empty"),
        (event(user_id=None), "user_id is empty"),
        (event(position="first"), "position is not a whole number: 'first'"),
        (event(position=1.5), "position is not a whole number"),
        (event(position=2**40), "position is not a whole number"),
        (event(propensity=0.0), "propensity is not in"),
        (event(propensity=1.5), "propensity is not in"),
        (event(split="dev"), "split is none of"),
    ],
)
def test_bad_events(row: dict[str, Any], reason: str) -> None:
    _, found = one(EVENTS, row)
    assert found is not None
    assert found.startswith(reason)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"product_id": "a", "title": None}, "none of title, description, image is given"),
        ({"product_id": "a", "title": "t", "price": "12 EUR"}, "price is not a number: '12 EUR'"),
        ({"product_id": "a", "title": "t", "price": -1}, "price is negative"),
        ({"product_id": None, "title": "t"}, "product_id is empty"),
        ({"product_id": "a", "title": "t", "attributes": "{red"}, "attributes is not a JSON object: '{red'"),
    ],
)
def test_bad_products(row: dict[str, Any], reason: str) -> None:
    assert one(CATALOG, row) == (None, reason)


def test_bad_creatives() -> None:
    good = {"creative_id": "c", "product_id": "p", "image": "i.jpg", "impressions": 5, "clicks": 5, "queries": "a|b"}
    row, _ = one(CREATIVES, good)
    assert row is not None
    assert row["queries"] == ["a", "b"]
    assert one(CREATIVES, good | {"clicks": 6})[1] == "more clicks than impressions"
    assert one(CREATIVES, good | {"clicks": -1})[1] == "clicks or impressions are negative"
    assert one(CREATIVES, good | {"queries": ["x", None]})[1] is None
    for queries in ('["\\ud800"]', "[" * 5000):
        reason = one(CREATIVES, good | {"queries": queries})[1]
        assert reason is not None
        assert reason.startswith("queries is not texts")


def test_the_first_good_row_of_an_id_stays() -> None:
    frame = pl.DataFrame({"product_id": ["a", "a", "a", "b"], "title": ["bad", "first", "second", "x"],
                          "price": ["?", "1", "2", "3"]})  # fmt: skip
    table, rejected = normalise(frame, CATALOG)
    assert table["title"].to_list() == ["first", "x"]
    assert rejected["row"].to_list() == [0, 2]
    assert rejected["reason"][1] == "product_id repeats an earlier row: 'a'"


def test_all_reasons_of_a_row_are_told() -> None:
    assert one(EVENTS, event(action="view", propensity=2.0))[1] == (
        "action is none of impression, click, cart, purchase; propensity is not in (0, 1]"
    )


@pytest.mark.parametrize(("ids", "expected"), [([10.0, None], "10"), ([10, None], "10"), (["010", None], "010")])
def test_ids_become_text(ids: list[Any], expected: str) -> None:
    table, rejected = normalise(pl.DataFrame({"product_id": ids, "title": ["t", "u"]}), CATALOG)
    assert table["product_id"].to_list() == [expected]
    assert table["spu_id"].to_list() == [expected]
    assert rejected.height == 1


@pytest.mark.parametrize(
    "attributes",
    [
        pl.Series([{"colour": "red", "size": None, "sizes": ["S", "M"]}]),
        pl.Series([[{"key": "colour", "value": "red"}, {"key": "sizes", "value": "S, M"}]]),
        pl.Series([{"colour": "red", "size": float("nan"), "sizes": ["S", "M"]}]),
        pl.Series(['{ "colour": "red", "size": NaN, "sizes": ["S", "M"] }']),
        pl.Series(['{ "colour": "red", "size": null, "sizes": ["S", "M"] }']),
    ],
    ids=["struct", "map", "NaN in a struct", "NaN in JSON", "json"],
)
def test_attributes_of_any_shape(attributes: pl.Series) -> None:
    frame = pl.DataFrame({"product_id": [1], "title": ["t"], "attributes": attributes})
    assert normalise(frame, CATALOG)[0]["attributes"][0] == '{"colour":"red","sizes":"S, M"}'


@pytest.mark.parametrize("attributes", ['{"a":"\\ud83d"}', "[" * 5000, "[1]"])
def test_attributes_that_are_none(attributes: str) -> None:
    _, reason = one(CATALOG, {"product_id": "a", "title": "t", "attributes": attributes})
    assert reason is not None
    assert reason.startswith("attributes is not a JSON object")


def test_bytes_are_text(tmp_path: Path) -> None:
    frame = pl.DataFrame({"product_id": [b"a", b" b ", b"", b"\xff"], "title": ["t"] * 4, "price": [b"1.5", b"x", b"", b"\xff"]})
    table, rejected = normalise(frame, CATALOG)
    assert table.select("product_id", "price").rows() == [("a", 1.5)]
    assert [reason.split(":")[0] for reason in rejected["reason"]] == [
        "price is not a number", "product_id is empty", "price is not a number"]  # fmt: skip


@given(st.lists(st.tuples(st.one_of(st.none(), st.text()), st.one_of(st.none(), st.integers(-9, 9))), min_size=1))
def test_gathered_columns_are_json(rows: list[tuple[str | None, int | None]]) -> None:
    frame = pl.DataFrame(rows, {'na"me': pl.String, "size": pl.Int64}, orient="row")
    frame = frame.with_row_index("product_id").with_columns(title=pl.lit("t"))
    table, _ = normalise(frame, CATALOG, attributes=['na"me', "size"])
    for (name, size), found in zip(rows, table["attributes"], strict=True):
        expected = {'na"me': _stripped(name), "size": None if size is None else str(size)}
        expected = {key: value for key, value in expected.items() if value}
        assert (json.loads(found) if found is not None else {}) == expected


def _stripped(text: str | None) -> str | None:
    return pl.Series([text], dtype=pl.String).str.strip_chars()[0]


def test_gathered_join_native_attributes() -> None:
    native = ['{"a":"1"}', "{}", None, '{"a":"2"}', '{"colour":"my own"}']
    frame = pl.DataFrame({"attributes": native, "colour": ["red", "blue", "green", None, "red"]})
    frame = frame.with_row_index("product_id").with_columns(title=pl.lit("t"))
    table, _ = normalise(frame, CATALOG, attributes=["colour"])
    assert table["attributes"].to_list() == [
        '{"a":"1","colour":"red"}', '{"colour":"blue"}', '{"colour":"green"}', '{"a":"2"}', '{"colour":"my own"}',
    ]  # fmt: skip


def test_mapping_and_unknown_products(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("id,productDisplayName\n1,red boots\n2,blue boots\n")
    table, _ = read_table(tmp_path / "c.csv", CATALOG, {"product_id": "id", "title": "productDisplayName"})
    assert table.select("product_id", "title").rows() == [("1", "red boots"), ("2", "blue boots")]
    events = pl.DataFrame([event(product_id=1), event(product_id=9)])
    events.write_parquet(tmp_path / "e.parquet")
    good, rejected = read_table(tmp_path / "e.parquet", EVENTS, products=table["product_id"])
    assert good.height == 1
    assert rejected.rows()[0][:4] == ("events", 1, "9", "product_id is not in the catalog: '9'")


def test_a_column_that_is_called_as_our_row_numbers(tmp_path: Path) -> None:
    pl.DataFrame({"product_id": ["a", "a"], "title": ["t", "t"], "__row": [7, 8]}).write_parquet(tmp_path / "c.parquet")
    table, rejected = read_table(tmp_path / "c.parquet", CATALOG)
    assert table["product_id"].to_list() == ["a"]
    assert rejected["row"].to_list() == [1]


def test_endings_in_capitals_and_durations(tmp_path: Path) -> None:
    (tmp_path / "C.CSV").write_text("product_id,title\n1,a\n")
    assert read_table(tmp_path / "C.CSV", CATALOG)[0].height == 1
    pl.DataFrame({"product_id": [dt.timedelta(1)], "title": ["t"]}).write_parquet(tmp_path / "d.parquet")
    with pytest.raises(UserError, match=r"column 'product_id' is Duration.*must be text"):
        read_table(tmp_path / "d.parquet", CATALOG)


def test_no_column_of_ours_is_proposed_for_another() -> None:
    frame = pl.DataFrame({"product_id": [1], "timestamp": [1], "action": ["click"], "USER": ["x"]})
    with pytest.raises(UserError, match=r"events\.user_id=USER$"):
        normalise(frame, EVENTS)


def test_broken_csv_lines_are_rejected_rows(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("product_id,title\n1,a\n2,b,c\n3,d\n,e\n")
    table, rejected = read_table(tmp_path / "c.csv", CATALOG)
    assert table["product_id"].to_list() == ["1", "3"]
    assert rejected.select("row", "reason").rows() == [
        (1, "it has 3 fields, the header has 2"), (3, "product_id is empty"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "attributes", "message"),
    [
        ({}, [], r"c\.parquet: no column 'product_id'.*Found id, pro.*data\.columns\.catalog\.product_id="),
        ({"product_id": "id"}, [], "no column 'title' or 'description' or 'image'"),
        ({"product_id": "id", "titel": "id"}, [], "data.columns.catalog.titel.*Did you mean 'title'"),
        ({"product_id": "id", "title": "productDisplayNam"}, [], "'productDisplayNam'.*mean 'productDisplayName'"),
        ({"product_id": "id", "title": "productDisplayName"}, ["color"], "data.attributes"),
        ({"product_id": "id", "title": "nested"}, [], r"column 'nested' is Struct.*catalog\.title must be text"),
    ],
)
def test_wrong_columns_name_file_column_and_remedy(
    tmp_path: Path, columns: dict[str, str], attributes: list[str], message: str
) -> None:
    pl.DataFrame({"id": [1], "productDisplayName": ["x"], "nested": [{"a": 1}]}).write_parquet(tmp_path / "c.parquet")
    with pytest.raises(UserError, match=message) as caught:
        read_table(tmp_path / "c.parquet", CATALOG, columns, attributes)
    assert "\n" not in str(caught.value)


def test_wrong_files(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_text("no")
    (tmp_path / "c.xlsx").write_text("no")
    for name, message in (("none.csv", "no such file"), ("bad.parquet", "cannot be read"), ("c.xlsx", "found")):
        with pytest.raises(UserError, match=f"{name}: .*{message}"):
            read_table(tmp_path / name, CATALOG)


def test_a_folder_of_files_is_one_table(tmp_path: Path) -> None:
    """As Spark leaves it: beside other files, integers as wide as each file needs, a column that only some have, and folders
    whose names say a column."""
    folder = tmp_path / "events [all]"
    parts = {
        "action=click/part-0.parquet": pl.DataFrame({"user_id": pl.Series([1, 2], dtype=pl.Int32), "position": [1, None]}),
        "action=purchase/part-1.parquet": pl.DataFrame({"user_id": [2**40]}),
        "action=cart/_part-2.parquet": pl.DataFrame({"user_id": ["hidden"]}),
        "_delta_log/00.parquet": pl.DataFrame({"version": [1]}),
    }
    for name, rows in parts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        rows = rows.with_columns(timestamp=pl.lit(NOON), product_id=pl.lit("p"))
        rows.write_parquet(folder / name)
        (folder / name).with_name(f".{Path(name).name}.crc").write_bytes(b"crc")
    (folder / "_SUCCESS").touch()
    table, rejected = read_table(folder, EVENTS)
    assert rejected.is_empty()
    found = table.select("user_id", "action", "position").rows()
    assert found == [("1", "click", 1), ("2", "click", None), (str(2**40), "purchase", None)]
    chunks = [good for good, _ in iter_table(folder, EVENTS)]
    assert [row for chunk in chunks for row in chunk.select("row", "user_id", "action").rows()] == [
        (0, "1", "click"), (1, "2", "click"), (2, str(2**40), "purchase")]  # fmt: skip


def test_folders_that_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no Parquet file"):
        read_table(tmp_path, EVENTS)
    (tmp_path / "a.parquet").write_text("no")
    pl.DataFrame({"user_id": [1]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"a.parquet: cannot be read as Parquet"):
        read_table(tmp_path, EVENTS)


def test_files_of_one_column_in_different_types_are_converted_each_for_itself(tmp_path: Path) -> None:
    """As pandas writes ids with gaps, and naive times beside such in UTC; in a layout where folders are called like files."""
    users = {"a": pl.Series([2**53 + 1]), "b": pl.Series([5.0, None]), "c": pl.Series(["u"])}
    times = {"a": pl.Series([NOON]), "b": pl.Series([NOON.replace(tzinfo=dt.UTC)] * 2), "c": pl.Series(["2024-05-01 12:00"])}
    for name, ids in users.items():
        part = tmp_path / f"{name}.parquet" / "_day=1" / "part-0.parquet"
        part.parent.mkdir(parents=True)
        rows = pl.DataFrame({"user_id": ids, "timestamp": times[name]})
        rows.with_columns(action=pl.lit("click"), product_id=pl.lit("p")).write_parquet(part)
    table, rejected = read_table(tmp_path, EVENTS)
    assert table["user_id"].to_list() == [str(2**53 + 1), "5", "u"]
    assert set(table["timestamp"]) == {NOON}
    assert rejected.select("row", "reason").rows() == [(2, "user_id is empty")]
    assert json.loads(rejected["record"][0])["_day"] == "1"
    again = [(good, bad) for good, bad in iter_table(tmp_path, EVENTS)]
    assert pl.concat(good for good, _ in again).drop("row").equals(table)
    assert pl.concat(bad for _, bad in again).equals(rejected)


def test_a_key_that_another_file_repeats_is_rejected(tmp_path: Path) -> None:
    for name in ("a", "b"):
        pl.DataFrame({"product_id": ["p", name], "title": ["t", name]}).write_parquet(tmp_path / f"{name}.parquet")
    table, rejected = read_table(tmp_path, CATALOG)
    assert table["product_id"].to_list() == ["p", "a", "b"]
    assert rejected.select("row", "reason").rows() == [(2, "product_id repeats an earlier row: 'p'")]
    assert json.loads(rejected["record"][0]) == {"product_id": "p", "title": "t"}
