"""TAOBAO-MM as a log: what its columns become, in either layout, and that all models train and are measured on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from openmoon.config import load_recipe
from openmoon.config.ctr import CtrConfig, CtrModelName
from openmoon.ctr.batches import Batches
from openmoon.ctr.build import Parts, uses_vectors
from openmoon.ctr.evaluate import baselines, measure
from openmoon.ctr.evaluate import held_out as part_of
from openmoon.ctr.fit import predict
from openmoon.ctr.log import CtrLog
from openmoon.ctr.saved import load_model
from openmoon.ctr.taobao_mm import files, read_taobao_mm
from openmoon.ctr.taobao_mm.numbering import Numbering
from openmoon.ctr.train import Job, train
from openmoon.errors import UserError
from tests.ctr.taobao_mm import SCL, Data, but, made_up, write, write_joined, write_split, write_vectors

MODELS: tuple[str, ...] = get_args(CtrModelName)
SMALL = {
    "layout": "taobao-mm", "length": 6, "search": 3, "min_count": 2, "dim": 4, "hidden": [8], "attention": 8, "batch_size": 8,
    "seeds": [0], "make_epochs": 1, "semantic_ids": {"levels": 2, "codes": 4}, "debias": {"per_step": 8}, "lr": 0.01,
}  # fmt: skip


def config(**changes: object) -> CtrConfig:
    return CtrConfig.model_validate({**SMALL, "models": ["din", "muse"], **changes})


def few() -> Data:
    """Five training samples and two test samples that one can follow."""
    unit = np.eye(128, dtype=np.int8)
    return Data(
        train=[(1, -5, -100), (0, -5, 200), (0, 7, 200), (1, 7, 300), (0, 9, -100)],
        test=[(1, 9, 300), (0, -5, 400)],
        histories={-5: [200, -100, 300, 500], 7: [0, 0, 300], 9: []},
        category={-100: -1, 200: 2, 300: 2, 500: -1},
        vectors={-100: 127 * unit[0], 200: 60 * unit[1] - 80 * unit[2], 300: -128 * unit[3], 500: 0 * unit[4], 12345: unit[5]},
    )


def samples(log: CtrLog) -> list[tuple[int, int, int, list[int], int]]:
    """(label, user, item, what is kept of its history, the length of that) with the data's own ids."""
    ids = np.concatenate([[0], log.entities.products["product_id"].to_numpy()])
    return [(int(log.label[r]), log.shoppers[int(log.shopper[r]) - 1], int(ids[log.item[r]]),
             ids[log.histories.entity[log.start[r] : log.end[r]]].tolist(), int(log.behaviours[r]))
            for r in range(len(log.user))]  # fmt: skip


def categories(log: CtrLog) -> dict[int, str | None]:
    return dict(zip(log.entities.products["product_id"], log.entities.products["category"], strict=True))


@pytest.mark.parametrize("layout", [write_joined, write_split])
def test_samples_become_requests(tmp_path: Path, layout: Callable[[Data, Path], Path]) -> None:
    log, rows = read_taobao_mm(layout(few(), tmp_path), config(length=3, split={"val": 0.2}))
    past = [-100, 300, 500]  # of -5: the latest three of four, oldest first
    assert samples(log) == [
        (1, -5, -100, past, 4), (0, -5, 200, past, 4), (0, 7, 200, [300], 1), (1, 7, 300, [300], 1), (0, 9, -100, [], 0),
        (1, 9, 300, [], 0), (0, -5, 400, past, 4),
    ]  # fmt: skip
    assert log.split.tolist() == [0, 0, 0, 0, 1, 2, 2]
    assert log.row.tolist() == list(range(7))
    assert categories(log) == {-100: "-1", 200: "2", 300: "2", 400: None, 500: "-1"}
    assert log.counts["impressions chosen"] == 3
    assert rows is not None
    assert len(rows.vectors) == len(log.entities) == 6


@pytest.mark.parametrize("layout", [write_joined, write_split])
def test_equal_histories_of_a_user_are_stored_once(tmp_path: Path, layout: Callable[[Data, Path], Path]) -> None:
    data = but(few(), test=[(0, 7, 400)])
    log, _ = read_taobao_mm(layout(data, tmp_path), config(split={"val": 0.2}))
    assert log.start[0] == log.start[1]
    assert log.start[2] == log.start[3]
    assert len(log.histories.entity) == log.counts["behaviours kept"] == 4 + 1 + 1
    assert log.end.max() == 6


def test_histories_of_equal_length_are_told_apart(tmp_path: Path) -> None:
    data = but(few(), histories={-5: [200, -100], 7: [200, 300], 9: [300, 300]})
    log, _ = read_taobao_mm(write_joined(data, tmp_path, shards=1), config(split={"val": 0.2}))
    assert [past for *_, past, _ in samples(log)][:5] == [[200, -100]] * 2 + [[200, 300]] * 2 + [[300, 300]]


def test_a_user_whose_history_changes_has_both(tmp_path: Path) -> None:
    data = few()
    rows = data.rows("train")
    rows[1] |= {"150_2_180": [200, -100, 300, 400], "151_2_180": [2, -1, 2, 0]}
    write("shard", rows, tmp_path / "train-shard-000000.parquet")
    write("shard", data.rows("test"), tmp_path / "test-shard-000000.parquet")
    log, _ = read_taobao_mm(tmp_path, config(models=["din"], split={"val": 0.2}))
    assert [past for *_, past, _ in samples(log)][:2] == [[200, -100, 300, 500], [200, -100, 300, 400]]


def test_layouts_and_row_groups_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, settings = made_up(), config()
    one, _ = read_taobao_mm(write_joined(data, tmp_path / "one", shards=1, group=1000), settings)
    monkeypatch.setattr(files, "ROWS", 17)
    for folder in (write_joined(data, tmp_path / "many", shards=3, group=40), write_split(data, tmp_path / "split")):
        log, rows = read_taobao_mm(folder, settings)
        assert samples(log) == samples(one)
        assert {item: kind for item, kind in categories(log).items() if kind} == {
            item: str(data.category[item]) for item in categories(one)
        }
        assert log.vocabulary.names["product"].to_list() == one.vocabulary.names["product"].to_list()
        assert rows is not None
        again, _ = read_taobao_mm(folder, settings)
        for name in ("item", "start", "end", "user", "label"):
            np.testing.assert_array_equal(getattr(again, name), getattr(log, name))


def test_vectors_are_dequantised(tmp_path: Path) -> None:
    log, rows = read_taobao_mm(write_joined(few(), tmp_path), config(split={"val": 0.2}))
    assert rows is not None
    place = {item: row for row, item in enumerate(log.entities.products["product_id"], 1)}
    expected = np.zeros((len(log.entities), 128), np.float32)
    expected[place[-100], 0] = 1
    expected[place[200], 1:3] = np.array([60 / 127, -80 / 127]) / (100 / 127)
    expected[place[300], 3] = -1
    np.testing.assert_allclose(rows.vectors.numpy(), expected, rtol=1e-6)  # 400 and 500 have none
    assert rows.covered == pytest.approx(3 / 5)
    assert log.counts["vectors of zeros or null, left out"] == 1


def test_dequantisation_is_exact(tmp_path: Path) -> None:
    data = made_up()
    log, rows = read_taobao_mm(write_joined(data, tmp_path), config())
    assert rows is not None
    for row, item in enumerate(log.entities.products["product_id"], 1):
        plain = torch.from_numpy(data.vectors.get(item, np.zeros(128, np.int8)).astype(np.float32) / 127)
        torch.testing.assert_close(rows.vectors[row], torch.nn.functional.normalize(plain, dim=0))
        assert rows.vectors[row].norm() == pytest.approx(float(item in data.vectors))


def test_models_on_ids_need_no_vectors(tmp_path: Path) -> None:
    folder = write_joined(few(), tmp_path)
    (folder / "raw" / SCL).unlink()
    assert read_taobao_mm(folder, config(models=["din"], split={"val": 0.2}))[1] is None
    with pytest.raises(UserError, match=r"scl_embedding_int8_p90\.parquet: no such file"):
        read_taobao_mm(folder, config(split={"val": 0.2}))
    elsewhere = write_vectors(few(), tmp_path / "elsewhere")
    rows = read_taobao_mm(folder, config(vectors=elsewhere, split={"val": 0.2}))[1]
    assert rows is not None
    assert rows.covered > 0


@pytest.mark.parametrize("at_a_time", [1, 2, 4096])
def test_what_cannot_be_used_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_a_time: int) -> None:
    monkeypatch.setattr(files, "ROWS", at_a_time)
    data = few()
    rows = data.rows("train")
    wrong = [{"label_0": None}, {"129_1": 0}, {"205": None}, {"151_2_180": [1]}, {"150_2_180": None, "151_2_180": None},
             {"206": 99}]  # fmt: skip
    more = [row | change for row, change in zip([rows[0]] * len(wrong), wrong, strict=True)]
    write("shard", [*rows[:2], *more[:-1], *rows[2:], more[-1]], tmp_path / "train-shard-000000.parquet")
    write("shard", data.rows("test"), tmp_path / "test-shard-000000.parquet")
    write("scl", [{"205": 200, "205_c": [n] * 128} for n in (1, 2)], tmp_path / SCL)
    log, vectors = read_taobao_mm(tmp_path, config(split={"val": 0.2}))
    assert len(log.user) == 5 + 3 + 2
    assert log.row.tolist() == [0, 1, 5, 6, 7, 8, 9, 10, 11, 12]
    assert samples(log)[3] == (1, -5, -100, [], 0)
    assert categories(log)[-100] == "-1"
    assert vectors is not None
    assert {what: count for what, count in log.counts.items() if "left out" in what or "first counts" in what} == {
        "samples without a label, left out": 1, "samples without a user, left out": 1, "samples without an item, left out": 1,
        "histories whose categories do not match, left out": 1, "products met under several categories, the first counts": 1,
        "vectors of products that have one already, left out": 1,
    }  # fmt: skip


def test_users_without_features_and_with_two(tmp_path: Path) -> None:
    data = few()
    write_split(data, tmp_path)
    twice = [data.user(-5), {**data.user(-5), "150_2_180": [300], "151_2_180": [2]}, data.user(9)]
    write("user_features", twice, tmp_path / "train_user_features.parquet")
    log, _ = read_taobao_mm(tmp_path, config(split={"val": 0.2}))
    assert samples(log)[0][3] == data.histories[-5]
    assert samples(log)[2][3:] == ([], 0)
    assert log.counts["samples whose user has no features, with an empty history"] == 2
    assert log.counts["user features of a user that has some already, left out"] == 1


def changed(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def put(name: str, values: Sequence[object], dtype: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.schema.get_field_index(name), name, pa.array(values, dtype))


@pytest.mark.parametrize(
    ("layout", "path", "change", "message"),
    [
        ("joined", "test/test-shard-000000.parquet", None, r"test-shard-\*\.parquet: no such file"),
        ("joined", "train/train-shard-000000.parquet", None, r"no train-shard-\*\.parquet here or in train/"),
        ("split", "test_user_features.parquet", None, r"test_user_features\.parquet: no such file"),
        ("joined", "train/train-shard-000000.parquet", lambda table: table.drop_columns("151_2_180"),
         r"train-shard-000000\.parquet: column '151_2_180' is missing"),
        ("joined", "train/train-shard-000000.parquet", put("205", ["a"] * 5, pa.string()),
         "column '205' is string, expected an integer"),
        ("joined", "train/train-shard-000000.parquet", put("150_2_180", [1] * 5, pa.int64()),
         "column '150_2_180' is int64, expected a list of integers"),
        ("joined", "test/test-shard-000000.parquet", put("label_0", [[1, 0], [1, 1]], pa.list_(pa.int8())),
         r"test-shard-000000\.parquet: row 1, column 'label_0' holds \[1, 1\], expected \[1, 0\] \(not clicked\) or \[0, 1\]"),
        ("split", "train_samples.parquet", put("label_0", [[1, 0], [0], *[[0, 1]] * 3], pa.list_(pa.int8())),
         r"train_samples\.parquet: row 1, column 'label_0' holds \[0\]"),
        ("split", SCL, put("205_c", [[1] * 128, [1] * 64, *[[1] * 128] * 3], pa.list_(pa.int8())),
         "row 1, column '205_c' holds 64 numbers, expected 128 numbers"),
        ("split", SCL, put("205_c", [[1] * 128] * 5, pa.list_(pa.int32())), "column '205_c' is list.*, expected lists of int8"),
    ],
)  # fmt: skip
def test_errors_name_file_column_and_expectation(
    tmp_path: Path, layout: str, path: str, change: Callable[[pa.Table], pa.Table] | None, message: str
) -> None:
    write_joined(few(), tmp_path, shards=1) if layout == "joined" else write_split(few(), tmp_path)
    if change is None:
        (tmp_path / path).unlink()
    else:
        changed(tmp_path / path, change)
    with pytest.raises(UserError, match=message):
        read_taobao_mm(tmp_path, config(split={"val": 0.2}))


def test_broken_files_and_empty_parts(tmp_path: Path) -> None:
    folder = write_joined(few(), tmp_path, shards=1)
    with pytest.raises(UserError, match="val is empty"):
        read_taobao_mm(folder, config(split={"val": 0.01}))
    (folder / "train" / "train-shard-000000.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(UserError, match=r"train-shard-000000\.parquet: not a readable Parquet file"):
        read_taobao_mm(folder, config())


@pytest.mark.parametrize("setting", ["truth=t.parquet", "query_vectors=q.parquet", "split.val=2025-01-01"])
def test_settings_that_the_layout_lacks_are_refused(tmp_path: Path, setting: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "t", "workdir": "t", "ctr": {"layout": "taobao-mm"}}))
    with pytest.raises(UserError, match="layout taobao-mm has no"):
        load_recipe(path, [f"ctr.{setting}"])


def test_slices_and_baselines_that_make_no_sense_are_absent(tmp_path: Path) -> None:
    log, _ = read_taobao_mm(write_joined(made_up(), tmp_path), config(length=2))
    part = part_of(log, None)
    assert set(part.slices) == {"product", "impressions", "exposure class", "behaviours", "category"}
    assert "new (< 24 h)" not in part.slices["product"]
    assert set(part.slices["behaviours"]) == {"0", "1–5", "6–20"}  # of whole histories, though two are kept
    assert set(part.slices["category"]) == {"-11", "12", "13", "-14"}
    found = baselines(log, part)
    assert set(found) == {"popularity only"}
    measured = measure(part, found["popularity only"], found["popularity only"], [])
    assert measured.new_gain is None


def test_what_nobody_was_shown_is_no_tail_product(tmp_path: Path) -> None:
    data = made_up()
    unseen = {-number: -11 for number in range(1, 500)}
    more = but(data, histories={user: [*past, *list(unseen)[:3]] for user, past in data.histories.items()},
               category=data.category | unseen)  # fmt: skip
    deciles = []
    for name, one in (("plain", data), ("more", more)):
        log, _ = read_taobao_mm(write_joined(one, tmp_path / name), config())
        part = part_of(log, None)
        deciles.append({key: int(mask.sum()) for key, mask in part.slices["exposure class"].items()})
    assert deciles[0] == deciles[1]


def test_batches_show_the_latest_first_and_nothing_of_time(tmp_path: Path) -> None:
    log, _ = read_taobao_mm(write_joined(few(), tmp_path), config(length=3, split={"val": 0.2}))
    ids = np.concatenate([[0], log.entities.products["product_id"].to_numpy()])
    (batch,) = Batches(log, log.requests("train"), 100, 3).in_order()
    rows = sorted(zip(batch.candidate.tolist(), ids[batch.history.numpy()].tolist(), strict=True))
    assert [past for _, past in rows] == [[500, 300, -100]] * 2 + [[300, 0, 0]] * 2
    assert all(len(column.unique()) == 1 for column in (batch.hour, batch.weekday, batch.asks, batch.position, batch.query))
    there = batch.history > 0
    assert len(batch.kind[there].unique()) == len(batch.age[there].unique()) == 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_joined(made_up(), tmp_path_factory.mktemp("taobao-mm"))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_and_loads_again(folder: Path, tmp_path: Path, name: str) -> None:
    settings = config(models=[name], batch_size=60)
    log, rows = read_taobao_mm(folder, settings)
    assert (rows is not None) == uses_vectors(name)
    assert train(Job(name, 0, tmp_path), log, Parts(log.entities, log.vocabulary, settings, rows), "data")
    scores = pl.read_parquet(tmp_path / "scores.parquet")
    assert scores["row"].to_list() == list(range(240, 320))
    test = Batches(log, log.requests("test"), 1000, settings.length)
    np.testing.assert_allclose(
        predict(load_model(tmp_path, log.entities, rows), test), scores["probability"].to_numpy(), rtol=1e-4, atol=1e-6
    )


class Killed(Exception):
    """Stands for a kill."""


def test_a_killed_training_resumes_to_equal_results(folder: Path, tmp_path: Path) -> None:
    settings = config(checkpoint_every=7)

    def run(place: str, kill: bool = False) -> None:
        def on_step(step: int, total: int, note: str) -> None:
            if kill:
                assert step < total
                raise Killed

        log, rows = read_taobao_mm(folder, settings)
        train(Job("muse", 0, tmp_path / place), log, Parts(log.entities, log.vocabulary, settings, rows), "data", on_step)

    run("whole")
    with pytest.raises(Killed):
        run("killed", kill=True)
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    run("killed")
    whole, resumed = (pl.read_parquet(tmp_path / place / "scores.parquet") for place in ("whole", "killed"))
    assert whole.equals(resumed)


def test_train_and_evaluate_through_the_command_line(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "taobao.yaml"
    ctr = {**SMALL, "models": ["din", "muse"], "epochs": 10}
    recipe = {"name": "taobao", "workdir": str(tmp_path / "run"), "data": {"root": str(folder)}, "ctr": ctr}
    path.write_text(yaml.safe_dump(recipe))

    def cli(verb: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "openmoon.cli", "ctr", verb, str(path)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    first = cli("train").stderr
    assert "impressions: 320" in first
    assert "in val: 24" in first
    assert "vectors: of" in first
    scores = (tmp_path / "run" / "ctr" / "muse-seed0" / "scores.parquet").read_bytes()
    assert cli("train").stderr.count("finished before:") == 2
    assert (tmp_path / "run" / "ctr" / "muse-seed0" / "scores.parquet").read_bytes() == scores
    assert "| muse | 1 |" in cli("evaluate").stdout
    found = json.loads((tmp_path / "run" / "ctr" / "evaluation.json").read_text())
    assert found["counts"]["in test"] == 80
    assert set(found["systems"]) == {"popularity only", "din", "muse"}
    assert found["systems"]["muse"]["seeds"]["0"]["auc"] > 0.6
    assert found["systems"]["muse"]["gain"] is not None


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), max_size=30), max_size=12))
def test_numbering(parts: list[list[int]]) -> None:
    numbering, known = Numbering(), dict[int, int]()
    for part in parts:
        new = sorted({one for one in part if one} - set(known))
        known |= {one: len(known) + place for place, one in enumerate(new, 1)}
        ids = np.array(part, np.int64)
        assert numbering.find(ids).tolist() == [0 if one in new else known.get(one, 0) for one in part]
        assert numbering.add(ids).tolist() == [known.get(one, 0) for one in part]
        assert numbering.find(ids).tolist() == [known.get(one, 0) for one in part]
    assert len(numbering) == len(known)
    assert numbering.ids.tolist() == list(known)
