"""Every reader on a few rows of its layout: what becomes a candidate, a query, a label, and what a wrong file is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from openmoon.data.image_cache import ImageCache
from openmoon.errors import UserError
from openmoon.evaluation.benchmark.suite import Suite, settle
from openmoon.evaluation.benchmark.suites import READERS
from openmoon.evaluation.benchmark.suites import records as records_module
from openmoon.evaluation.benchmark.suites.mbe import _attributes
from openmoon.evaluation.benchmark.suites.records import attribute_table, read_records


def picture(path: Path, seed: int = 0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.random.default_rng(seed).integers(0, 255, (4, 4, 3)).astype(np.uint8)
    Image.fromarray(np.kron(cells, np.ones((10, 10, 1), np.uint8))).save(path)
    return path.name


def lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Suite]:
    """Read tmp_path/data as a suite, its pictures decoded."""

    def run(name: str) -> Suite:
        suite = READERS[name](tmp_path / "data", tmp_path / "scratch", lambda done: None)
        assert suite.attributes.height == (suite.examples.height if suite.attributes.columns else 0)
        assert set(suite.examples["split"]) <= {"train", "test"}
        assert not set(suite.pool["product_id"]) & set(suite.examples.filter(split="train")["example_id"])
        return settle(suite, ImageCache(tmp_path / "scratch", 32))

    (tmp_path / "data").mkdir()
    return run


def mbe_row(number: int, **changes: object) -> dict:
    row = {
        "id": f"{number:x}", "doc_title": f"title {number}", "doc_image": f"https://pictures.example/{number}.jpg?x=1",
        "doc_industry_name": "clothes", "doc_cate1_name": "women", "doc_cate2_name": "dresses", "doc_cate3_name": "",
        "doc_attributes": "colour:red,,material:silk!!!wool,,empty:,,", "query_title": f"wanted {number}",
        "query_image": f"q{number}.jpg",
    }  # fmt: skip
    return row | changes


def test_mbe(tmp_path, read):
    data = tmp_path / "data"
    for number in (1, 2):
        picture(data / "images" / f"{number}.jpg", number)
    picture(data / "q1.jpg", 9)
    again = mbe_row(3, id="99", doc_title="title 1", doc_image=mbe_row(1)["doc_image"])
    lines(data / "MBE_test.jsonl", [mbe_row(1), mbe_row(2), again])
    known = [mbe_row(2, doc_title="other words"), mbe_row(20, doc_title="title 1", doc_image=mbe_row(1)["doc_image"])]
    lines(data / "MBE_train.jsonl", [*(mbe_row(number) for number in range(10, 14)), *known])
    suite = read("mbe")
    assert any("2 of 6 train lines are products of the test file" in note for note in suite.notes)
    assert suite.pool["product_id"].to_list() == ["1", "2"]  # the third line sells the first product again
    assert suite.pool["image"].to_list() == [str(data / "images" / "1.jpg"), str(data / "images" / "2.jpg")]
    assert suite.queries.rows() == [
        ("wanted 1", str(data / "q1.jpg"), "1"), ("wanted 2", None, "2"), ("wanted 3", None, "1"),
    ]  # fmt: skip
    assert suite.examples["category"].unique().to_list() == ["dresses"]
    assert suite.attributes["colour"].unique().to_list() == ["red"]
    assert suite.attributes["material"][0] == "silk, wool"
    assert suite.attributes["industry"][0] == "clothes"
    assert "empty" not in suite.attributes.columns
    assert suite.examples.filter(split="train").height == 4
    assert any("4 of 9 lines name a picture that is not in" in note for note in suite.notes)
    assert suite.own == frozenset()
    lines(data / "MBE_test.jsonl", [mbe_row(1), mbe_row(2), again, mbe_row(4, id="1")])
    contrary = read("mbe")
    assert contrary.queries.equals(suite.queries), "the last line asks for another product than its id is of"
    assert any("1 lines are left out: an earlier line of their id" in note for note in contrary.notes)


def test_mbe_in_parts(tmp_path, read):
    data = tmp_path / "data"
    for part in range(2):
        lines(data / f"test-0000{part}-of-00002.jsonl", [mbe_row(number) for number in range(part * 3, part * 3 + 3)])
    assert read("mbe").pool["product_id"].to_list() == list("012345")
    (data / "test-00000-of-00002.jsonl").unlink()
    with pytest.raises(UserError, match=r"of the test file there are 1 parts, test-00001-of-00002\.jsonl …, not all"):
        read("mbe")
    lines(data / "test.jsonl", [mbe_row(0)])
    with pytest.raises(UserError, match="several files may be the test file"):
        read("mbe")
    (data / "test.jsonl").unlink()
    lines(data / "latest_train.jsonl", [mbe_row(5)])  # names no test
    (data / "training.jsonl.gz").touch()
    (data / "test-00001-of-00002.jsonl").rename(data / "test_old.jsonl")
    lines(data / "test_new.jsonl", [mbe_row(0)])
    with pytest.raises(UserError, match=r"several files may be the test file: test_new.jsonl, test_old.jsonl; keep one"):
        read("mbe")
    (data / "test_old.jsonl").unlink()
    suite = read("mbe")
    assert suite.pool["product_id"].to_list() == ["0"]
    assert not any("no train file" in note for note in suite.notes)


def test_mbe_in_forms_that_are_not_documented(tmp_path, read):
    test = tmp_path / "data" / "test.jsonl"
    odd = {"doc_attributes": {"colour": "red", "size": "L"}, "doc_image": "/9j/" + "A" * 5000}
    lines(test, [mbe_row(number, **odd) for number in range(6)])
    suite = read("mbe")
    assert {"colour", "size"} <= set(suite.attributes.columns)
    assert suite.pool["image"].null_count() == 6
    assert _attributes('{"colour": "red", "size": "L", "none": null}') == {"colour": "red", "size": "L"}
    lines(test, [mbe_row(7, doc_attributes="{colour")])
    with pytest.raises(UserError, match=r"data: record '7': doc_attributes is no object: '\{colour'"):
        read("mbe")
    lines(test, [mbe_row(0), mbe_row(1, id=None)])
    with pytest.raises(UserError, match=r"test.jsonl: 1 of 2 records have no 'id'"):
        read("mbe")


def test_mbe2_without_queries_and_train(tmp_path, read):
    rows = [mbe_row(number) for number in range(3)]
    for row in rows:
        del row["query_title"], row["query_image"]
    (tmp_path / "data" / "test.json").write_text(json.dumps(rows))
    suite = read("mbe2")
    assert suite.name == "mbe2"
    assert suite.own == {"text", "image"}
    assert suite.queries["query_text"].to_list() == suite.pool["title"].to_list()
    assert any("no train file" in note for note in suite.notes)


@pytest.mark.parametrize("name", ["mbe", "mbe2"])
def test_mbe_with_other_fields_lists_what_there_is(tmp_path, read, name):
    lines(tmp_path / "data" / "test.jsonl", [{"id": 1, "title": "a", "picture": "b"}])
    with pytest.raises(UserError, match=r"test.jsonl: no column 'doc_title'.*Found id, title, picture"):
        read(name)


def test_m5product(tmp_path, read):
    data = tmp_path / "data"
    shapes = [("q", "boot"), ("g1", "boot"), ("g2", "boot"), ("g3", "hat"), ("t1", "hat"), ("unused", "mug")]
    rows = [
        {"item_id": name, "caption": f"a {label} {name}", "image": f"pictures/{name}.jpg", "label": label,
         "tabular": {"colour": "red", "sizes": [1, 2], "none": None}} for name, label in shapes
    ]  # fmt: skip
    picture(data / "pictures" / "g1.jpg")
    (data / "meta_info.json").write_text(json.dumps(rows))
    for name, ids in (("query", ["q", "g1"]), ("gallery", ["g1", "g2", "g3"]), ("train", ["t1", "q"])):
        (data / f"{name}.txt").write_text("\n".join(ids) + "\n")
    suite = read("m5product")
    assert suite.pool["product_id"].to_list() == ["g2", "g3"]  # g1 is a query and is not to find itself
    asked = suite.queries.select("query_text", "product_id").rows()
    assert asked == [("a boot q", "g2"), ("a boot g1", "g2")]
    assert suite.examples.filter(split="train")["example_id"].to_list() == ["t1"]  # q is measured, so it does not teach
    assert suite.attributes["colour"].to_list() == ["red"] * 5
    assert suite.queries["query_image"].null_count() == 1
    assert not any("left out" in note for note in suite.notes)
    (data / "meta_info.json").write_text(json.dumps([*rows, rows[0], rows[1] | {"caption": "something else"}]))
    assert "1 records are left out: an earlier one has their item_id" in read("m5product").notes
    (data / "meta_info.json").write_text(json.dumps(rows), encoding="utf-8-sig")
    (data / "query.txt").write_text("q\ng1\nunused\n", encoding="utf-8-sig")
    assert "1 of 3 queries are left out: no gallery item has their label" in read("m5product").notes
    by_id = {row["item_id"]: {"title": row["caption"], "label": row["label"], "url": ""} for row in rows}
    (data / "meta_info.json").write_text(json.dumps(by_id))
    found = read("m5product")
    assert found.pool["title"].to_list() == suite.pool["title"].to_list()
    assert "no record has properties ('tabular' or 'pv'), so no attributes are predicted" in found.notes
    for row in by_id.values():
        row["pv"] = "颜色#:#红色#;#材质#:#皮革#;#颜色#:#蓝色#;#尺码#:#"
    (data / "meta_info.json").write_text(json.dumps(by_id))
    assert read("m5product").attributes.to_dict(as_series=False) == {"颜色": ["红色"] * 6, "材质": ["皮革"] * 6}
    by_id["g2"]["pv"] = "红色 皮革"
    (data / "meta_info.json").write_text(json.dumps(by_id))
    found = read("m5product")
    assert found.attributes["颜色"].null_count() == 1
    assert any(note.startswith("of 1 of 6 items the properties cannot be told apart, such as '红色") for note in found.notes)


def test_half_a_character_is_a_question_mark(tmp_path, read):
    data = tmp_path / "data"
    items = [{"item_id": name, "caption": f"a \ud83d {name}", "label": "c"} for name in "abc"]
    (data / "meta_info.json").write_text(json.dumps(items))
    (data / "query.txt").write_text("c\n")
    (data / "gallery.txt").write_text("a\nb\n")
    assert set(read("m5product").pool["title"]) == {"a ? a", "a ? b"}


def test_m5product_mistakes(tmp_path, read):
    data = tmp_path / "data"
    with pytest.raises(UserError, match="found no meta_info"):
        read("m5product")
    (data / "meta_info.json").write_text('[{"item_id": "a", "caption": "b"}]')
    with pytest.raises(UserError, match=r"meta_info.json: no column 'label'.*Found item_id, caption"):
        read("m5product")
    (data / "meta_info.json").write_text('[{"item_id": "a", "caption": "b", "label": "c"}]')
    (data / "query.txt").write_text("a\nz\n")
    with pytest.raises(UserError, match=r"query.txt: 1 of its 2 ids have no record in meta_info, such as z"):
        read("m5product")
    (data / "query.txt").write_text("\n")
    with pytest.raises(UserError, match=r"query.txt: lists no id"):
        read("m5product")
    (data / "meta_info.json").write_text('{"a": {"caption": "b", "label": "c"}, "b": null}')
    with pytest.raises(UserError, match="expected a JSON list of objects, or one object of objects by id"):
        read("m5product")
    (data / "meta_info.json").write_text("[1, 2")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        read("m5product")


def test_fashion200k(tmp_path, read):
    data = tmp_path / "data"
    (data / "labels").mkdir()

    def line(product: str, number: int, words: str) -> str:
        return f"women/dresses/casual_and_day_dresses/{product}/{product}_{number}.jpeg\t0.9\t{words}\n"

    (data / "labels" / "dress_test_detect_all.txt").write_text(
        line("11", 0, "red\u2028dress\twith dots") + line("11", 1, "red dress") + line("22", 0, "blue dress") + "torn\n" + "\n"
    )
    (data / "labels" / "skirt_train_detect_all.txt").write_text(line("33", 0, "green skirt") + line("22", 1, "blue dress"))
    for name in ("11/11_0", "11/11_1", "22/22_0"):
        picture(data / "women/dresses/casual_and_day_dresses" / f"{name}.jpeg", len(name))
    suite = read("fashion200k")
    folder = data / "women/dresses/casual_and_day_dresses"
    assert suite.pool.rows() == [
        ("11", "red\u2028dress\twith dots", str(folder / "11/11_0.jpeg")), ("22", "blue dress", str(folder / "22/22_0.jpeg")),
    ]  # fmt: skip
    assert suite.queries["query_image"].to_list() == [str(folder / "11/11_1.jpeg"), None]
    assert suite.own == {"text"}
    assert suite.examples["category"].unique().to_list() == ["casual and day dresses"]
    assert suite.attributes["garment"].to_list() == ["dress", "dress", "skirt"]
    assert any("1 lines of the label files are left out" in note for note in suite.notes)
    (data / "labels" / "dress_test_detect_all.txt").unlink()
    with pytest.raises(UserError, match="no usable line in labels"):
        read("fashion200k")


def test_grocery(tmp_path, read):
    data = tmp_path / "data"
    pl.DataFrame({
        "product_id": ["0", "1"], "title": ["Gala", "Kiwi"], "category": ["Apple", "Kiwi"],
        "attributes": ['{"department":"Fruit"}'] * 2, "image": [str(data / picture(data / f"{n}.jpg", n)) for n in (0, 1)],
    }).write_parquet(data / "catalog.parquet")  # fmt: skip
    photos = [str(data / picture(data / f"photo-{n}.jpg", n + 5)) for n in range(4)]
    pl.DataFrame({
        "user_id": ["s"] * 4, "timestamp": [1, 2, 3, 4], "action": ["click"] * 4, "product_id": ["0", "1", "0", "1"],
        "query_image": photos, "split": ["train", "train", "val", "val"],
    }).write_parquet(data / "events.parquet")  # fmt: skip
    suite = read("grocery")
    assert suite.pool.height == 2
    assert suite.queries.rows() == [(None, photos[2], "0"), (None, photos[3], "1")]
    assert suite.examples.select("example_id", "category", "split").rows() == [
        (photos[0], "Apple", "train"), (photos[1], "Kiwi", "train"), (photos[2], "Apple", "test"), (photos[3], "Kiwi", "test"),
    ]  # fmt: skip
    assert suite.attributes["product"].to_list() == ["Gala", "Kiwi"] * 2
    assert not suite.are_products
    assert any("measured on the val photos" in note for note in suite.notes)


def test_fashion_holds_out_and_asks_by_its_own_titles(tmp_path, read):
    data = tmp_path / "data"
    pl.DataFrame({
        "product_id": [f"p{n}" for n in range(40)], "title": [f"Shirt {n}" for n in range(40)],
        "image": [picture(data / f"{n}.png", n) for n in range(40)], "category": ["Shirts", "Skirts"] * 20,
        "attributes": ['{"gender":"Men","season":"Summer"}', '{"gender":"Women"}'] * 20,
    }).write_parquet(data / "catalog.parquet")  # fmt: skip
    suite = read("fashion")
    assert suite.pool.height == 8
    assert suite.own == {"text", "image"}
    assert suite.queries["query_text"].to_list() == suite.pool["title"].to_list()
    assert suite.attributes.columns == ["gender", "season"]
    joined = pl.concat([suite.examples, suite.attributes], how="horizontal")
    assert joined.filter(category="Shirts")["gender"].unique().to_list() == ["Men"]
    assert suite.examples.height == 40 - 2  # what decides early stopping is neither measured nor taught by


@pytest.mark.parametrize("name", ["sample", "fashion", "grocery"])
def test_a_folder_of_something_else(read, name):
    with pytest.raises(UserError, match=r"has no catalog.parquet; --data takes"):
        read(name)


def test_settling_takes_unreadable_pictures_from_everyone_and_names_the_data(tmp_path, suite):
    good, other = tmp_path / "a.png", tmp_path / "b.png"
    picture(good, 1)
    picture(other, 2)
    (tmp_path / "c.png").write_text("no picture")
    paths = pl.Series("image", [str(good), str(tmp_path / "c.png"), None])
    asked = pl.Series("query_image", [None, None, str(tmp_path / "c.png"), str(other), None])
    none = pl.lit(None, pl.String)
    bare = replace(suite, pool=suite.pool.with_columns(paths), queries=suite.queries.with_columns(asked),
                   examples=suite.examples.with_columns(image=none))  # fmt: skip
    settled = settle(bare, ImageCache(tmp_path / "cache", 32))
    assert settled.pool["image"].to_list() == [str(good), None, None]
    assert settled.queries.height == 4  # the query that was only this picture is gone
    assert [note[:40] for note in settled.notes] == [
        "1 pictures cannot be read and count as m", "1 queries are left out: no text, and the",
    ]  # fmt: skip
    picture(good, 3)
    changed = settle(bare, ImageCache(tmp_path / "cache", 32))
    assert changed.revision != settled.revision
    assert settle(bare, ImageCache(tmp_path / "elsewhere", 32)).revision == changed.revision


PAIRS = st.dictionaries(
    st.text("abc d", min_size=1, max_size=5).filter(str.strip), st.text("xyz :", min_size=1, max_size=5).filter(str.strip)
)


@given(PAIRS)
def test_attributes_of_mbe_come_back(found):
    text = ",,".join(f"{name}:{value}" for name, value in found.items())
    assert _attributes(text) == {name.strip(): value.strip() for name, value in found.items()}


@given(st.integers(1, 60), st.integers(1, 60))
def test_evenly_spread_lines(total, most):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.jsonl"
        lines(path, [{"n": number} for number in range(total)])
        found = [int(n) for n in read_records(path, ["n"], most=most)["n"]]
    assert len(found) == len(set(found)) <= total
    assert found == sorted(found)
    assert min(most, total) * 0.6 <= len(found) <= most + 1


def test_a_line_that_is_not_json_is_named(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"n": 1}\n{"n": \n')
    with pytest.raises(UserError, match=r"x.jsonl: line 2 is not JSON"):
        read_records(tmp_path / "x.jsonl", ["n"])


def test_the_attributes_that_most_examples_can_teach_are_kept(monkeypatch):
    monkeypatch.setattr(records_module, "MOST_ATTRIBUTES", 2)
    examples = [{"sku": str(n), "category": "x", "colour": "red" if n % 2 else "blue"} for n in range(20)]
    for n in range(12):
        examples[n] |= {"material": "silk"}
    for n in range(6):
        examples[n] |= {"pattern": "dots"}
    found, notes = attribute_table(examples)
    assert found.columns == ["colour", "material"]
    assert found["material"].to_list() == ["silk"] * 12 + [None] * 8
    assert notes == ["2 attributes are left out, whose values are rarer"]
