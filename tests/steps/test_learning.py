"""A shop with one thing to learn: shoppers have their own words for what titles and pictures show. Both stages must learn it."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from PIL import Image

from openmoon import ProductEncoder
from openmoon.config import load_recipe
from openmoon.steps.evaluate import evaluate
from openmoon.steps.posttrain import posttrain
from openmoon.steps.pretrain import pretrain
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
