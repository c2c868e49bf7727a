"""Post-training in all its forms through the real command line: resumed, in chunks and over processes it is one training."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from openmoon import ProductEncoder
from openmoon.data.coaugment.table import origin_of
from tests.e2e.conftest import COMMAND, ENVIRONMENT, Cli
from tests.e2e.test_run import until

# everything at once; nothing random in the encoder, so that cutting a batch differently changes no more than rounding
FULL = [
    "encoder.fusion.experts=3", "posttrain.objectives=dual", "posttrain.filter={}", "posttrain.augment=0",
    "posttrain.negatives={queue: 40, margin: 0.3, popularity: true, spare: visits, left: 1, mined: {every: 5}, pool: {}}",
    "posttrain.triplet={}", "posttrain.actions=[cart, purchase]", "posttrain.weights={purchase: 2}",
]  # fmt: skip


def losses(workdir: Path) -> list[float]:
    lines = [json.loads(line) for line in (workdir / "posttrain" / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def weights(workdir: Path) -> dict[str, np.ndarray]:
    return load_file(workdir / "posttrain" / "encoder" / "model.safetensors")


@pytest.fixture
def place(recipe: Path, finished: object, tmp_path: Path):  # type: ignore[no-untyped-def]
    """A new workdir that shares stage 1 and the cache with the finished run."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for shared in ("pretrain", "cache"):
            (folder / shared).symlink_to(recipe.parent / "run" / shared)
        return folder

    return make


def test_the_full_objective_resumes_to_the_same_weights(recipe: Path, place, cli: Cli) -> None:  # type: ignore[no-untyped-def]
    straight, cut = place("straight"), place("cut")
    options = [*FULL, "posttrain.augment=0.5"]
    cli("posttrain", recipe, f"workdir={straight}", *options)
    assert len(losses(straight)) == 12
    process = subprocess.Popen([*COMMAND, "posttrain", str(recipe), f"workdir={cut}", *options], env=ENVIRONMENT)
    metrics = cut / "posttrain" / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and '"step": 3' in metrics.read_text()):
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (cut / "posttrain" / "summary.json").exists()
    before = until(metrics, 2)
    cli("posttrain", recipe, f"workdir={cut}", *options)
    assert until(metrics, 2) == before, "what was done is not done again"
    assert losses(cut) == losses(straight)
    for name, value in weights(straight).items():
        np.testing.assert_array_equal(weights(cut)[name], value)
    last = json.loads((straight / "posttrain" / "metrics.jsonl").read_text().splitlines()[-2])
    assert 0 <= last["kept, text → product"] <= 1
    assert sum(value for name, value in last.items() if name.startswith("weight, ")) == pytest.approx(5, abs=1e-3)


def test_chunks_and_processes_train_the_same_encoder(recipe: Path, place, cli: Cli) -> None:  # type: ignore[no-untyped-def]
    whole, chunked, two = place("whole"), place("chunked"), place("two")
    cli("posttrain", recipe, f"workdir={whole}", *FULL)
    cli("posttrain", recipe, f"workdir={chunked}", *FULL, "posttrain.chunk=5")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *COMMAND[1:]]
    done = subprocess.run([*launch, "posttrain", str(recipe), f"workdir={two}", *FULL], env=ENVIRONMENT,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((two / "posttrain" / "summary.json").read_text())["processes"] == 2
    for other in (chunked, two):
        np.testing.assert_allclose(losses(other), losses(whole), rtol=1e-5)
        for name, value in weights(whole).items():
            np.testing.assert_allclose(weights(other)[name], value, atol=1e-6, err_msg=name)


def test_a_fixed_temperature_and_experts_everywhere(recipe: Path, place, cli: Cli) -> None:  # type: ignore[no-untyped-def]
    """From a stage 1 that knows of neither; the objective has nothing of its own to learn."""
    folder = place("fixed")
    cli("posttrain", recipe, f"workdir={folder}", "posttrain.learn_temperature=false", "posttrain.objectives=dual",
        "encoder.fusion.experts=3", "encoder.fusion.top=1", "encoder.fusion.experts_in=all", "encoder.fusion.router=token",
        "posttrain.alignment.sparsity=0")  # fmt: skip
    lines = [json.loads(line) for line in (folder / "posttrain" / "metrics.jsonl").read_text().splitlines()]
    assert {round(line["temperature"], 6) for line in lines if "temperature" in line} == {0.05}
    routers = [name for name in weights(folder) if name.endswith("router.weight")]
    assert len(routers) == len({name.split(".experts")[0] for name in weights(folder) if ".experts." in name}) > 0
    assert not any("feed_forward.up" in name for name in weights(folder)), "no dense layer is left"


def test_pairs_are_accounted_for(recipe: Path, finished: object, cli: Cli) -> None:
    rules = "{per_user: 5, merge_spus: true, entities: 2, hardest_query: true, per_item: 2, match_categories: true}"
    shown = cli("data", "pairs", recipe, f"posttrain.pairs={rules}").stdout
    came: dict[str, list[int]] = {}
    for line in shown.splitlines():
        cells = [cell.strip().replace(",", "") for cell in line.strip("│ ").split("│")]
        if len(cells) == 6 and cells[1].isdigit():
            came[cells[0]] = [int(cell) for cell in cells[1:]]
    assert list(came) == ["pairs per user", "entities", "merge SPUs", "hardest query", "pairs per item", "match categories"]
    for (arrived, dropped, _, repeated, left), (next_arrived, *_) in zip(
        came.values(), [*list(came.values())[1:], [int(shown.split()[0].replace(",", ""))]], strict=True
    ):
        assert arrived - dropped + repeated == left == next_arrived
    assert "rich+image → rich+image" in shown
    assert "negatives of the category" in shown
    assert "Categories, by impressions" in shown
    words = "posttrain.mix=[{query: text, item: rich, share: 1}]"
    nothing = cli("data", "pairs", recipe, "posttrain.pairs={entities: 50, merge_spus: true}", words).stdout
    assert "0 training pairs" in nothing
    assert "entities dropped" in nothing
    assert "views of the mix dropped" in nothing
    plain = cli("data", "pairs", recipe, "posttrain.pairs.signal=co-click").stdout
    assert "none (posttrain.pairs)" in plain


def test_queries_may_be_shown_as_products_that_no_pair_is_left_of(recipe: Path, place, cli: Cli) -> None:  # type: ignore[no-untyped-def]
    folder = place("capped")
    asks = "posttrain.mix=[{query: rich+image, item: rich+image, share: 1}]"
    cli("posttrain", recipe, f"workdir={folder}", f"data.cache={folder / 'fresh'}", "posttrain.pairs={per_user: 1}", asks)
    assert len(losses(folder)) > 1


def test_training_goes_on_from_a_saved_encoder(recipe: Path, finished: object, cli: Cli, tmp_path: Path) -> None:
    encoder = recipe.parent / "run" / "posttrain" / "encoder"
    options = [f"workdir={tmp_path}", f"data.cache={recipe.parent / 'run' / 'cache'}", f"posttrain.start={encoder}"]
    done = cli("posttrain", recipe, *options, "pretrain=null", "posttrain.pairs={hardest_query: true}", "posttrain.lr=1e-9")
    assert "hardest query: " in done.stderr
    for name, value in load_file(encoder / "model.safetensors").items():
        np.testing.assert_allclose(weights(tmp_path)[name], value, atol=1e-4, err_msg=name)
    assert "set pretrain: null" in cli("posttrain", recipe, *options, ok=False).stderr


def test_what_starts_from_the_bare_trunks_is_judged_by_them(recipe: Path, place, cli: Cli) -> None:  # type: ignore[no-untyped-def]
    folder = place("bare")
    options = [f"workdir={folder / 'run'}", f"data.cache={folder / 'cache'}", "pretrain=null", "posttrain.coaugment=1.0"]
    made = cli("data", "augment", recipe, *options, "augment={nearer: 0, slack: 1, pictures: {per_product: 0}}")
    assert "encoder: the bare trunks" in made.stdout + made.stderr
    assert "variants: " in cli("posttrain", recipe, *options).stderr


def test_stage_2_shows_what_was_augmented(recipe: Path, place, cli: Cli) -> None:  # type: ignore[no-untyped-def]
    folder = place("augmented")
    options = [f"workdir={folder}", "posttrain.coaugment=1.0", "posttrain.augment=0"]
    assert "run `openmoon data augment`" in cli("posttrain", recipe, *options, ok=False).stderr
    gate = "augment={nearer: 0, slack: 1}"  # random trunks are no judges
    cli("data", "augment", recipe, *options, gate, "--encoder", folder / "pretrain" / "encoder")
    done = cli("posttrain", recipe, *options)
    made = int(re.search(r"variants: ([\d,]+) texts", done.stderr).group(1).replace(",", ""))  # type: ignore[union-attr]
    assert made > 50
    plain = place("plain")
    cli("posttrain", recipe, f"workdir={plain}", "posttrain.augment=0")
    assert losses(folder) != losses(plain)
    table = folder / "augmented" / "augmented.parquet"
    about = origin_of(table)
    assert json.loads(about.settings) == {"nearer": 0, "slack": 1}
    assert about.encoder == ProductEncoder.from_pretrained(folder / "pretrain" / "encoder").fingerprint()
    pl.read_parquet(table).write_parquet(table, metadata=about._replace(products="others")._asdict())
    assert "was not made of these training products" in cli("posttrain", recipe, *options, "--fresh", ok=False).stderr
