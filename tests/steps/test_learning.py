"""A shop with one thing to learn: shoppers have their own words for what titles and pictures show. Both stages must learn it."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from openmoon import ProductEncoder
from openmoon.builders import stage
from openmoon.builders.workspace import open_workspace
from openmoon.config import PosttrainConfig, load_recipe
from openmoon.steps.evaluate import evaluate
from openmoon.steps.posttrain import _taught_views, posttrain
from openmoon.steps.pretrain import pretrain
from openmoon.training.featurize import Featurizer
from openmoon.training.loop import Schedule
from tests.conftest import WORDS

SLOTS, OPTIONS = 3, 4  # a product is one option of each slot: 64 products


@pytest.fixture
def planted(tmp_path: Path, tiny_trunks: tuple[str, str]) -> Path:
    rng = np.random.default_rng(0)
    words = rng.permutation([word for word in WORDS if not word.startswith("##")])[: 2 * SLOTS * OPTIONS]
    in_titles, in_queries = words.reshape(2, SLOTS, OPTIONS)
    colours = rng.integers(0, 256, (SLOTS, OPTIONS, 3))
    products, events = [], []
    for number, options in enumerate(product(range(OPTIONS), repeat=SLOTS)):
        patches = np.full((2, 2, 3), 128, np.uint8)
        patches.reshape(4, 3)[:SLOTS] = [colours[slot, option] for slot, option in enumerate(options)]
        Image.fromarray(patches.repeat(16, 0).repeat(16, 1)).save(tmp_path / f"{number}.png")
        title, query = (" ".join(side[slot, option] for slot, option in enumerate(options)) for side in (in_titles, in_queries))
        products.append({"product_id": str(number), "title": title, "image": f"{number}.png"})
        events.append({"user_id": f"u{number}", "timestamp": 1_700_000_000 + number, "action": "purchase",
                       "product_id": str(number), "query_text": query})  # fmt: skip
    pl.DataFrame(products).write_parquet(tmp_path / "catalog.parquet")
    pl.DataFrame(events).write_parquet(tmp_path / "events.parquet")
    vision, text = tiny_trunks
    plain = {"batch_size": 32, "augment": 0, "augment_views": 0}
    recipe = {
        "name": "planted", "workdir": str(tmp_path / "run"),
        "data": {"root": str(tmp_path), "events": "events.parquet", "split": {"val": 0.2, "test": 0.3}},
        "encoder": {"image": {"trunk": vision, "size": 32}, "text": {"trunk": text, "max_tokens": 12},
                    "fusion": {"width": 32, "layers": 1, "heads": 2}, "dims": [32]},
        "pretrain": {**plain, "epochs": 40, "patience": 40, "lr": 1e-2, "self_supervision": 0},
        "posttrain": {**plain, "epochs": 60, "patience": 60, "lr": 5e-3},
    }  # fmt: skip
    path = tmp_path / "planted.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def test_a_fusion_starts_from_the_catalogue_or_at_random(planted: Path) -> None:
    """Before anything is learnt: pictures in the even dimensions, or an orthogonal matrix over all."""
    after = {}
    for start in ("principal", "random"):
        changes = [f"encoder.fusion.start={start}", f"workdir={planted.parent / start}"]
        recipe = load_recipe(planted, [*changes, "pretrain.max_steps=1", "pretrain.lr=1e-9"])
        encoder = ProductEncoder.from_pretrained(pretrain(recipe))
        after[start] = encoder.fusion.image_in[1].weight.detach()  # type: ignore[union-attr]
    assert not after["principal"][1::2].any()
    assert after["random"][1::2].any()
    torch.testing.assert_close(after["random"].T @ after["random"], torch.eye(after["random"].shape[1]), atol=1e-4, rtol=0)


def test_both_stages_learn_what_there_is_to_learn(planted: Path) -> None:
    """On products that neither was trained on."""
    recipe = load_recipe(planted)
    pretrain(recipe)
    lines = [json.loads(line) for line in (recipe.workdir / "pretrain" / "metrics.jsonl").read_text().splitlines()]
    first, *_, last = [line["val"] for line in lines if "val" in line]
    for direction in ("text_image_r1", "image_text_r1"):
        assert first[direction] < 0.2, "random trunks know nothing of each other"
        assert last[direction] > 0.7
    posttrain(recipe)
    cells = {cell.item: cell.metrics for cell in evaluate(recipe).cells}
    for before in ("chance", "BM25", "untuned", "stage 1"):
        assert all(metrics[before]["recall@1"] < 0.2 for metrics in cells.values() if metrics.get(before)), before
    assert {item: metrics["stage 2"]["recall@1"] > 0.4 for item, metrics in cells.items()} == {
        "rich": True, "image": True, "rich+image": True}  # fmt: skip


OTHER_WORDS = {"test": ("mug mug mug", "bag bag bag"), "val": ("lamp lamp lamp", "shoe shoe shoe")}


def logged(workdir: Path) -> tuple[list[float], list[dict[str, float]]]:
    """Losses and validations of both stages."""
    files = [workdir / stage / "metrics.jsonl" for stage in ("pretrain", "posttrain")]
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line], [line["val"] for line in lines if "val" in line]


def test_what_is_held_out_changes_nothing_that_is_learnt(planted: Path) -> None:
    """Other words for the held-out products, in titles and queries: the losses stay; of the test, validation stays, too."""
    root = planted.parent
    split = dict(open_workspace(load_recipe(planted)).items.select("product_id", "split").iter_rows())
    tables = {name: pl.read_parquet(root / f"{name}.parquet") for name in ("catalog", "events")}
    found = {}
    for changed in ((), ("test",), ("val", "test")):
        for place, (name, column) in enumerate((("catalog", "title"), ("events", "query_text"))):
            texts = [
                f"{OTHER_WORDS[side][place] if (side := split[product]) in changed else text} {row % 10} {row // 10}"
                for row, (product, text) in enumerate(tables[name].select("product_id", column).iter_rows())
            ]  # each different: equal queries would be on one side
            tables[name].with_columns(pl.Series(column, texts)).write_parquet(root / f"{name}.parquet")
        workdir = root / "-".join(("run", *changed))
        short = ["pretrain.epochs=2", "posttrain.epochs=2", f"workdir={workdir}"]
        pretrain(load_recipe(planted, short))
        posttrain(load_recipe(planted, [*short, "pretrain=null"]))  # validation decides which weights of stage 1 are kept
        found[changed] = logged(workdir)
    (losses, validations), *others = found.values()
    for other, _ in others:
        np.testing.assert_allclose(other, losses, rtol=1e-4)
    assert found["test",][1] == validations != found["val", "test"][1]


@pytest.mark.parametrize("trained", [False, True])
def test_settings_of_the_recipe_reach_the_training(planted: Path, monkeypatch: pytest.MonkeyPatch, trained: bool) -> None:
    seen: dict[str, Any] = {}

    class Reached(Exception):
        pass

    def fit(module: nn.Module, optimizer: torch.optim.Optimizer, temperature: object, encode: Featurizer, objective: object,
            validate: object, schedule: Schedule, **rest: object) -> None:  # fmt: skip
        seen.update(rest, optimizer=optimizer, images=encode.images, schedule=schedule)
        raise Reached

    monkeypatch.setattr(stage, "fit", fit)
    settings = {"lr": 0.02, "weight_decay": 0.3, "clip": 0.7, "average": 0.6, "augment": 0.4, "warmup": 0.3, "chunk": 7,
                "patience": 3, "validate_every": 4, "checkpoint_every": 6, "max_steps": 9}  # fmt: skip
    live = {"augment_views": 2, "train_image_trunk": "true", "trunk_lr": 0.001, "crop": 40}
    settings |= live if trained else {"augment_views": 3}
    with pytest.raises(Reached):
        pretrain(load_recipe(planted, ["seed=5", *(f"pretrain.{name}={value}" for name, value in settings.items())]))
    schedule = seen["schedule"]
    for name in ("max_steps", "warmup", "validate_every", "checkpoint_every", "patience", "chunk"):
        assert getattr(schedule, name) == settings[name]
    assert (schedule.batch_size, schedule.epochs) == (32, 40)
    assert (seen["clip"], seen["average"], seen["seed"]) == (0.7, 0.6, 5)
    groups = {(group["peak"], group["weight_decay"]) for group in seen["optimizer"].param_groups if group["params"]}
    assert groups == {(0.02, 0.0), (0.02, 0.3)} | ({(0.001, 0.0), (0.001, 0.3)} if trained else set())
    assert seen["images"].strength == 0.4
    assert (seen["images"].crop == 40) if trained else (seen["images"].views == 3)


@pytest.mark.parametrize(("mix", "queries", "item"), [
    ([("text", "rich")], ["text"], "rich+image"), ([("image", "image")], ["image"], "image"),
    ([("text", "image"), ("text+image", "rich")], ["text", "image"], "rich+image"),
    ([("rich+image", "rich")], ["text", "image"], "rich+image"),
])  # fmt: skip
def test_what_is_taught_is_validated(mix: list[tuple[str, str]], queries: list[str], item: str) -> None:
    rows = [{"query": query, "item": view, "share": 1} for query, view in mix]
    assert _taught_views(PosttrainConfig.model_validate({"mix": rows})) == (queries, item)
    assert _taught_views(PosttrainConfig(objectives="dual")) == (["text", "image"], "rich+image")
