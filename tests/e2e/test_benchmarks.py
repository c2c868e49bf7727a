"""The scripts that measure, on a tiny shop: they run, and print figures of what was just trained."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.e2e.conftest import ENVIRONMENT

FOLDER = Path(__file__).parents[2] / "benchmarks"


def script(name: str, *arguments: object) -> str:
    command = [sys.executable, str(FOLDER / name), *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def arms(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Arms in a folder of their own: one with experts, filter and the five objectives that goes on from the other, the tiny
    recipe."""
    folder = tmp_path_factory.mktemp("arms")
    start = str(folder / "runs" / "plain" / "posttrain" / "encoder")
    changes = {"more": {"pretrain": None, "encoder": {"fusion": {"experts": 4}},
                        "posttrain": {"start": start, "objectives": "dual", "filter": {}}},
               "plain": {}}  # fmt: skip
    for name, change in changes.items():
        arm = {"base": str(recipe), "name": name, "workdir": str(folder / "runs" / name), **change}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(arm))
    return tuple(folder / f"{name}.yaml" for name in changes)


@pytest.fixture(scope="module")
def tables(arms: tuple[Path, ...]) -> str:
    return script("ablation.py", *arms, "--seeds", 0, 1, "--against", "plain")


def test_the_table_of_an_ablation_is_that_of_its_runs(arms: tuple[Path, ...], tables: str, tmp_path: Path) -> None:
    runs = arms[0].parent / "runs"
    rows = {cells[0]: cells[1:] for line in tables.splitlines() if len(cells := line.strip("| ").split(" | ")) > 2}
    recall = []
    for seed in (0, 1):
        result = json.loads((runs / f"more-seed{seed}" / "evaluation.json").read_text())
        (cell,) = [c for c in result["cells"] if (c["query"], c["item"]) == ("text", "rich+image")]
        recall.append(cell["metrics"]["stage 2"]["recall@10"])
        assert json.loads((runs / f"more-seed{seed}" / "labels.json").read_text())["encoder"] == result["encoders"]["stage 2"]
    assert rows["plain"][0] == "2"
    assert re.match(r"[+-]\d\.\d{3} \(", rows["more"][1]), "the second table has the differences"
    lines = [json.loads(line) for line in (runs / "runs.jsonl").read_text().splitlines()]
    assert [(line["arm"], line["seed"]) for line in lines] == [("more", 0), ("more", 1), ("plain", 0), ("plain", 1)]
    assert [line["metrics"]["text → rich+image"]["recall@10"] for line in lines[:2]] == recall
    assert all(0 < line["classes"] <= 1 for line in lines)
    assert len(list(runs.glob("stage-1-*"))) == 2, "one first stage for each seed"
    elsewhere = shutil.copy(runs / "runs.jsonl", tmp_path)  # no data is needed for what is known
    again = script("ablation.py", *arms, "data.root=nowhere", "--seeds", 0, 1, "--against", "plain", "--runs", elsewhere)
    assert again == tables
    for seed in (0, 1):
        saved = yaml.safe_load((runs / f"more-seed{seed}" / "posttrain" / "recipe.yaml").read_text())
        assert saved["posttrain"]["start"] == str(runs / f"plain-seed{seed}" / "posttrain" / "encoder")


def test_expert_use_and_the_shares_that_the_filter_kept(arms: tuple[Path, ...], tables: str, tmp_path: Path) -> None:
    printed = script("experts.py", arms[0], "--seed", 0, "--rounds", 1)
    shares = [float(share) for share in re.findall(r"^  (?:text|image)\S* +(.+)$", printed, re.MULTILINE)[0].split()]
    assert sum(shares) == pytest.approx(1, abs=0.03)
    assert "times as long with experts as without" in printed
    printed = script("filtering.py", arms[0], "--seed", 0, "--out", tmp_path / "filtering")
    assert re.search(r"\d+ of [\d,]+ training pairs are planted noise", printed)
    assert len(re.findall(r"^\| (?:text|image|text\+image) → product \|(?: \d\.\d{3} \|){5}$", printed, re.MULTILINE)) == 3
    assert (tmp_path / "filtering.png").stat().st_size > 1000


def test_embedding_is_held_against_its_limit_and_sentence_transformers(
    recipe: Path, finished: object, shop: Path, tmp_path: Path
) -> None:
    pytest.importorskip("sentence_transformers")
    encoder = recipe.parent / "run" / "posttrain" / "encoder"
    script("embed.py", "--encoder", encoder, "--catalog", shop / "catalog.parquet", "--products", 32, "--rounds", 1,
           "--memory", 10, 20, "--out", tmp_path / "embed.json")  # fmt: skip
    found = json.loads((tmp_path / "embed.json").read_text())
    assert found["cosine_between_outputs"]["min"] > 0.999


@pytest.mark.parametrize("mode", ["frozen", "trained"])
def test_a_training_step_has_the_loss_that_sentence_transformers_has(mode: str, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    import train

    train.make_pictures(tmp_path, 6)
    ours, peer = (side(train.new_encoder(mode), mode, 6, 4, tmp_path) for side in (train.openmoon_side, train.peer_side))
    assert ours["loss"] == pytest.approx(peer["loss"], rel=1e-4)


def test_class_tokens_have_no_place_on_a_map() -> None:
    from heatmap_methods import on_grid

    np.testing.assert_array_equal(on_grid(np.arange(5.0)[None]), [[[1, 2], [3, 4]]])


def test_every_kind_of_map_is_measured(recipe: Path, finished: object, shop: Path, tmp_path: Path) -> None:
    encoder = recipe.parent / "run" / "posttrain" / "encoder"
    script("heatmap.py", "--shop", shop, "--encoder", encoder, "--products", 6, "--out", tmp_path / "heatmap.json")
    found = json.loads((tmp_path / "heatmap.json").read_text())
    scores = found["scores"].values()
    assert len(scores) == 9
    assert all(0 <= part <= 1 for of in scores for means in of.values() for part in means[1::2])
