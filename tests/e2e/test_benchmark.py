"""`openmoon benchmark` through the real command line, on the tiny shop and what its run left."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from openmoon.data.pairs.behaviour import behaviour_pairs
from openmoon.data.splits import normalise_query
from openmoon.evaluation.benchmark.suites import READERS
from tests.e2e.conftest import Cli


@pytest.fixture(scope="session")
def measured(recipe: Path, finished: object, shop: Path, cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Untuned trunks, both stages and the run's vectors on the shop: the folder of results, and what was printed."""
    out, run = tmp_path_factory.mktemp("benchmark"), recipe.parent / "run"
    stages = [f"stage {n}={run / stage / 'encoder'}" for n, stage in ((1, "pretrain"), (2, "posttrain"))]
    done = cli("benchmark", "untuned", *stages, run / "vectors.parquet", "--suite", "sample", "--data", shop, "--out", out)
    return out, done.stdout


def test_everything_is_written_and_nothing_else(measured: tuple[Path, str]) -> None:
    out, printed = measured
    assert sorted(path.name for path in out.iterdir()) == [
        "attributes.json", "benchmark.html", "benchmark.md", "classification.json", "retrieval.json",
    ]  # fmt: skip
    for shown in ("Retrieval", "t→mm", "Zero-shot classification", "Attribute prediction", "colour", "majority", "chance"):
        assert shown in printed
        assert shown in (out / "benchmark.md").read_text()


def test_only_the_test_part_is_measured_and_everyone_gets_the_same(measured: tuple[Path, str], shop: Path) -> None:
    tasks = ("retrieval", "classification", "attributes")
    results = {task: json.loads((measured[0] / f"{task}.json").read_text()) for task in tasks}
    encoders = ["untuned", "stage 1", "stage 2", "vectors"]
    assert results["retrieval"]["systems"] == ["chance", "BM25", *encoders]
    assert results["attributes"]["systems"] == ["majority", *encoders]
    assert 0 < results["retrieval"]["pool"] <= 0.25 * 90 + 4
    assert len({result["revision"] for result in results.values()}) == 1
    for cell in results["retrieval"]["cells"]:
        assert cell["pool"] <= results["retrieval"]["pool"]
        assert set(cell["metrics"]) == set(results["retrieval"]["systems"])
        assert cell["metrics"]["vectors"] is None
        assert cell["metrics"]["stage 2"] is not None
    probed = {(cell["label"], cell["view"]): cell["metrics"] for cell in results["attributes"]["cells"]}
    assert probed["category", "both"]["vectors"] is not None
    assert probed["category", "text"]["vectors"] is None
    fingerprints = {results["retrieval"]["encoders"][name]["fingerprint"] for name in ("stage 1", "stage 2")}
    assert len(fingerprints) == 2


def test_queries_show_nothing_that_teaches(shop: Path, tmp_path: Path) -> None:
    suite = READERS["sample"](shop, tmp_path, lambda done: None)
    events = pl.read_parquet(shop / "events.parquet").with_columns(split=pl.lit(None, pl.String))
    outside = pl.read_parquet(shop / "catalog.parquet").select("product_id").join(suite.pool, on="product_id", how="anti")
    sides = pl.concat([
        suite.pool.select("product_id", split=pl.lit("test")), outside.select("product_id", split=pl.lit("train")),
    ])  # fmt: skip
    pairs = behaviour_pairs(events, ["cart", "purchase"])
    # a query is on the side of most of its pairs; of equally many the test keeps it
    counted = pairs.drop("split").join(sides, on="product_id").group_by("query_text").agg(
        train=(pl.col("split") == "train").sum(), test=(pl.col("split") == "test").sum()
    )
    taught = counted.filter((pl.col("train") > pl.col("test")) & pl.col("query_text").is_not_null())["query_text"]
    asked = suite.queries.select(normalise_query(pl.col("query_text"))).to_series().drop_nulls()
    labelled = pl.read_parquet(shop / "truth" / "queries.parquet").join(suite.pool, on="product_id", how="semi")
    assert len(asked)
    assert labelled.select(normalise_query(pl.col("query_text")).is_in(taught.implode()).any()).item()  # there was some to lose
    assert not set(asked) & set(taught)


def test_an_encoder_of_another_split_is_pointed_out(measured: tuple[Path, str]) -> None:
    notes = json.loads((measured[0] / "retrieval.json").read_text())["notes"]
    assert any(note.startswith("stage 2: ") and "may have been trained on them" in note for note in notes)


def test_a_recipe_is_a_suite_of_what_it_holds_out(recipe: Path, finished: object, cli: Cli, tmp_path: Path) -> None:
    run = recipe.parent / "run"
    cli("benchmark", "untuned", f"own={run / 'posttrain' / 'encoder'}", "--suite", recipe, "--out", tmp_path)
    results = {task: json.loads((tmp_path / f"{task}.json").read_text()) for task in ("retrieval", "attributes")}
    evaluated = json.loads((run / "evaluation.json").read_text())
    assert results["retrieval"]["pool"] == evaluated["pool"]
    assert results["retrieval"]["suite"] == "tiny"
    assert not any("may have been trained" in note for note in results["retrieval"]["notes"])
    ours, theirs = (
        next(cell for cell in cells if (cell["query"], cell["item"]) == ("text", "image"))
        for cells in (results["retrieval"]["cells"], evaluated["cells"])
    )
    assert (ours["pool"], ours["queries"], ours["pairs"]) == (theirs["pool"], theirs["queries"], theirs["pairs"])
    assert ours["metrics"]["own"]["mrr"] == pytest.approx(theirs["metrics"]["stage 2"]["mrr"], abs=1e-4)
    assert {"material", "pattern"} <= {cell["label"] for cell in results["attributes"]["cells"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["untuned", "--suite", "sampel"], "unknown suite 'sampel'; known are sample, fashion"),
        (["untuned", "--suite", "fashion"], "has no category or no attributes"),
        (["nowhere/encoder", "--suite", "sample"], "'nowhere/encoder' is neither a saved encoder"),
        (["nowhere.parquet", "--suite", "sample"], "nowhere.parquet: no such vectors table"),
        (["untuned", "a=untuned", "a=untuned", "--suite", "sample"], "write NAME="),
        (["untuned", "--suite", "mbe"], "found no test file"),
        (["untuned", "--suite", "fashion200k"], "nothing of suite fashion200k can be measured: 1 of 1 pictures are not in"),
        (["untuned", "--suite", "own.yaml"], "own.yaml names its own data; leave --data out"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, shop: Path, tmp_path: Path, cli: Cli) -> None:
    own = tmp_path / "data"
    own.mkdir()
    if "fashion" in arguments:
        pl.read_parquet(shop / "catalog.parquet").drop("category").write_parquet(own / "catalog.parquet")
    if "fashion200k" in arguments:
        (own / "labels").mkdir()
        (own / "labels" / "dress_test_detect_all.txt").write_text("women/dresses/casual/1/1_0.jpeg\t0.9\tred dress\n")
    data = shop if "sample" in arguments else own
    failed = cli("benchmark", *arguments, "--data", data, "--out", tmp_path / "out", ok=False)
    assert message in failed.stderr
    assert failed.returncode == 2
    assert failed.stderr.strip().splitlines()[-1].startswith("error: ")
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_a_suite_needs_data(cli: Cli, tmp_path: Path) -> None:
    assert "suite mbe needs --data" in cli("benchmark", "untuned", "--suite", "mbe", "--out", tmp_path, ok=False).stderr


def test_data_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    failed = cli("benchmark", "untuned", "--suite", "mbe", "--data", tmp_path / "no", "--out", tmp_path / "out", ok=False)
    assert "no such folder; --data takes" in failed.stderr
