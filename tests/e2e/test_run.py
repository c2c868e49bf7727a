"""The main job through the real command line: shop → run → search, and what it leaves behind."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.e2e.conftest import COMMAND, ENVIRONMENT, Cli


def workdir(recipe: Path) -> Path:
    return recipe.parent / "run"


def losses(folder: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def until(metrics: Path, step: int) -> list[str]:
    """What was logged until a step, its speed included, which no second training repeats."""
    return [line for line in metrics.read_text().splitlines() if line.endswith("}") and json.loads(line)["step"] <= step]


def test_run_does_every_step_and_writes_everything(recipe: Path, finished: subprocess.CompletedProcess[str]) -> None:
    steps = ["data check", "pretrain", "posttrain", "evaluate", "embed", "report"]
    places = [finished.stderr.index(f"{step} ─") for step in steps]
    assert places == sorted(places)
    assert "text → rich+image" in finished.stdout
    run = workdir(recipe)
    for name in ("pretrain/recipe.yaml", "rejected.parquet", "check.json", "evaluation.json", "evaluation.md", "vectors.parquet",
                 "report.html", "pretrain/encoder/model.safetensors", "posttrain/summary.json"):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    assert not list(run.rglob("*.tmp"))
    html = (run / "report.html").read_text()
    assert not re.search(r"""(src|href)=["']https?://""", html)


def test_every_step_says_what_it_wrote(recipe: Path, finished: object, tmp_path: Path, cli: Cli) -> None:
    run = workdir(recipe)
    assert f"wrote {run / 'check.json'}" in cli("data", "check", recipe).stdout
    assert f"wrote {run / 'evaluation.json'}" in cli("evaluate", recipe).stdout
    simulated = cli("data", "simulate", "--catalog", tmp_path / "c.csv", "--out", tmp_path / "shop", ok=False)
    assert "c.csv" in simulated.stderr
    (tmp_path / "c.csv").write_text("sku,title\n" + "".join(f"{n},Red boot {n}\n" for n in range(20)) + "3,Twice\n")
    simulated = cli("data", "simulate", "--catalog", tmp_path / "c.csv", "--out", tmp_path / "shop", "--users", 10,
                    "data.columns.catalog.product_id=sku")  # fmt: skip
    assert f"wrote {tmp_path / 'shop'}" in simulated.stdout
    assert "1 rejected rows" in simulated.stdout
    assert pl.read_parquet(tmp_path / "shop" / "rejected.parquet")["product_id"].to_list() == ["3"]


def test_embed_says_which_encoder_it_takes_and_refuses_one_of_another_recipe(
    recipe: Path, finished: object, tmp_path: Path, cli: Cli
) -> None:
    assert f"encoder: {workdir(recipe) / 'posttrain' / 'encoder'}" in cli("embed", recipe).stderr
    changed = cli("embed", recipe, "posttrain.lr=0.123", ok=False)
    assert "was trained with posttrain.lr: 0.0003, the recipe says 0.123" in changed.stderr
    shutil.copytree(workdir(recipe) / "pretrain", tmp_path / "pretrain")
    early = cli("embed", recipe, f"workdir={tmp_path}").stderr
    assert f"encoder: {tmp_path / 'pretrain' / 'encoder'}; posttrain of the recipe: not finished" in early
    assert "stage 2 is left out" in cli("evaluate", recipe, f"workdir={tmp_path}").stderr


def test_the_report_leaves_an_evaluation_of_other_encoders_out(
    recipe: Path, finished: object, tmp_path: Path, cli: Cli
) -> None:
    for name in ("pretrain", "posttrain"):
        shutil.copytree(workdir(recipe) / name, tmp_path / name)
    result = json.loads((workdir(recipe) / "evaluation.json").read_text())
    assert set(result["encoders"]) == {"stage 1", "stage 2"}
    (tmp_path / "evaluation.json").write_text(json.dumps(result))
    assert "left out" not in cli("report", recipe, f"workdir={tmp_path}").stderr
    result["encoders"]["stage 2"] = "0123456789ab"
    (tmp_path / "evaluation.json").write_text(json.dumps(result))
    assert "evaluation.json is left out: it is of other encoders" in cli("report", recipe, f"workdir={tmp_path}").stderr
    result["encoders"] = json.loads((workdir(recipe) / "evaluation.json").read_text())["encoders"]
    (tmp_path / "evaluation.json").write_text(json.dumps(result | {"questions": "0123456789abcdef"}))
    assert "is left out" in cli("report", recipe, f"workdir={tmp_path}").stderr


def test_evaluation_names_its_systems_pool_and_origin(recipe: Path, finished: object) -> None:
    result = json.loads((workdir(recipe) / "evaluation.json").read_text())
    assert result["systems"] == ["chance", "BM25", "untuned", "stage 1", "stage 2"]
    assert {"torch", "openmoon"} <= set(result["versions"])
    assert result["recipe"]["name"] == "tiny"
    assert len(result["data_hash"]) == 16
    for cell in result["cells"]:
        assert 0 < cell["pool"] <= 18 + 4


def test_vectors_are_what_the_encoder_says(recipe: Path, finished: object, shop: Path) -> None:
    from openmoon import ProductEncoder
    from openmoon.data.text import item_texts

    table = pl.read_parquet(workdir(recipe) / "vectors.parquet").sort("product_id")
    catalog = pl.read_parquet(shop / "catalog.parquet").sort("product_id")
    assert table["product_id"].to_list() == catalog["product_id"].to_list()
    rich = item_texts(catalog)["rich"].to_list()
    inputs = [
        {"text": text, "image": str(shop / image) if image else None}
        for text, image in zip(rich, catalog["image"], strict=True)
    ]
    expected = ProductEncoder.from_pretrained(workdir(recipe) / "posttrain" / "encoder").encode(inputs)
    np.testing.assert_allclose(np.stack(table["vector"].to_numpy()), expected, atol=1e-4)


def test_embedding_again_computes_nothing_and_a_changed_product_is_done_alone(
    recipe: Path, finished: object, own_shop: Path, cli: Cli
) -> None:
    again = cli("embed", recipe)
    assert "0 products embedded, 90 unchanged, 0 gone" in again.stderr
    catalog = pl.read_parquet(own_shop / "catalog.parquet")
    changed = catalog.with_columns(
        title=pl.when(pl.int_range(pl.len()) == 5).then(pl.lit("a wholly new title")).otherwise("title")
    ).head(88)
    changed.write_parquet(own_shop / "catalog.parquet")
    done = cli("embed", recipe, f"data.root={own_shop}")
    assert "1 products embedded, 87 unchanged, 2 gone" in done.stderr
    cli("embed", recipe)


def nearest(recipe: Path, *arguments: object) -> list[str]:
    """Products by their cosine with a query, best first, from the table and the encoder alone."""
    from openmoon import ProductEncoder

    table = pl.read_parquet(workdir(recipe) / "vectors.parquet")
    query = {str(name).removeprefix("--"): str(value) for name, value in zip(arguments[::2], arguments[1::2], strict=True)}
    vector = ProductEncoder.from_pretrained(workdir(recipe) / "posttrain" / "encoder").encode([query])[0]
    return table["product_id"].gather(np.argsort(-np.stack(table["vector"].to_numpy()) @ vector)).to_list()


def test_search_by_words_photo_and_both(recipe: Path, finished: object, shop: Path, tmp_path: Path, cli: Cli) -> None:
    photo = next((shop / "photos").glob("*.jpg"))
    for arguments in (["--text", "red boots"], ["--image", photo], ["--text", "red boots", "--image", photo]):
        found = cli("search", recipe, *arguments, "-k", 3, "--sheet", tmp_path / "sheet.png")
        assert re.findall(r"P\d{6}", found.stdout) == nearest(recipe, *arguments)[:3]
        assert Image.open(tmp_path / "sheet.png").width > 500
    table = tmp_path / "catalog.parquet"
    table.write_bytes(b"a table")
    assert "name a file that ends in .png" in cli("search", recipe, "--text", "mug", "--sheet", table, ok=False).stderr
    assert table.read_bytes() == b"a table"
    for nothing in ((), ("--text", " ")):
        assert "nothing to search for" in cli("search", recipe, *nothing, ok=False).stderr


def test_a_run_killed_with_sigkill_resumes_to_the_same_losses(recipe: Path, finished: object, tmp_path: Path, cli: Cli) -> None:
    """With trunks that are trained; with frozen ones and all that stage 2 may have besides, test_posttraining."""
    trunks = ["posttrain.train_image_trunk=true", "posttrain.train_text_trunk=true", "posttrain.augment_views=2",
              "posttrain.blend=0.5"]  # fmt: skip
    run = tmp_path / "killed"
    run.mkdir()
    (run / "pretrain").symlink_to(workdir(recipe) / "pretrain")
    (run / "cache").symlink_to(workdir(recipe) / "cache")
    longer = [f"workdir={run}", "posttrain.max_steps=60", "posttrain.epochs=60", "posttrain.patience=60", *trunks]
    command = [*COMMAND, "posttrain", str(recipe), *longer]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    metrics = run / "posttrain" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and '"step": 5' in metrics.read_text()):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "posttrain" / "encoder").exists()
    before = until(metrics, 4)  # every second step leaves a checkpoint
    assert "goes on from step" in cli("posttrain", recipe, *longer).stderr
    assert until(metrics, 4) == before, "what was done is not done again"
    straight = tmp_path / "straight"
    straight.mkdir()
    (straight / "pretrain").symlink_to(workdir(recipe) / "pretrain")
    (straight / "cache").symlink_to(workdir(recipe) / "cache")
    cli("posttrain", recipe, f"workdir={straight}", *longer[1:])
    assert len(losses(run / "posttrain")) == 60
    assert losses(run / "posttrain") == losses(straight / "posttrain")
    a, b = ((r / "posttrain" / "encoder" / "model.safetensors").read_bytes() for r in (run, straight))
    assert a == b


def test_starting_afresh_leaves_what_a_first_training_leaves(recipe: Path, finished: object, tmp_path: Path, cli: Cli) -> None:
    run = tmp_path / "fresh"
    shared = [f"workdir={run}", f"data.cache={workdir(recipe) / 'cache'}", "pretrain.epochs=1"]
    cli("pretrain", recipe, *shared)
    first = json.loads((run / "pretrain" / "summary.json").read_text())
    cli("pretrain", recipe, *shared, "--fresh")
    again = json.loads((run / "pretrain" / "summary.json").read_text())
    assert {**again, "seconds": 0} == {**first, "seconds": 0}
    assert losses(run / "pretrain")
    cli("posttrain", recipe, *shared, "posttrain.max_steps=2")


def test_a_log_in_which_nobody_searches_is_no_reason_to_stop(recipe: Path, own_shop: Path, tmp_path: Path, cli: Cli) -> None:
    events = pl.read_parquet(own_shop / "events.parquet").drop("query_text", "query_image")
    events.write_parquet(own_shop / "events.parquet")
    changes = [f"data.root={own_shop}", f"workdir={tmp_path / 'run'}", "data.queries=null", "posttrain=null", "pretrain.epochs=1"]
    done = cli("run", recipe, *changes)
    assert "evaluate: skipped, no queries in data.queries or data.events" in done.stderr
    assert (tmp_path / "run" / "vectors.parquet").is_file()
    assert "impression" in (tmp_path / "run" / "report.html").read_text()
    failed = cli("evaluate", recipe, *changes, ok=False)
    assert "no click, cart or purchase has query_text or query_image" in failed.stderr


def test_env_names_versions(cli: Cli) -> None:
    assert re.search(r"torch\W+2\.", cli("env").stdout)


def test_an_encoder_is_exported_and_its_cost_printed(recipe: Path, finished: object, cli: Cli, tmp_path: Path) -> None:
    shown = cli("export", recipe, "--out", tmp_path).stdout
    assert "speed-up" in shown
    assert "image → rich+image, R@10" in shown
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["agreement"]["ONNX float"][1] == pytest.approx(1, abs=1e-4)
    assert report["size_mib"]["ONNX int8"] < report["size_mib"]["ONNX float"]
    assert {path.name for path in tmp_path.glob("*.onnx")} == {
        f"{name}{precision}.onnx" for name in ("image", "text", "fusion") for precision in ("", "-int8")
    }
