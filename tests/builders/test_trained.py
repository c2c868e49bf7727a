"""An encoder is only used with the data and the recipe that it was trained with."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import yaml

from openmoon import ProductEncoder
from openmoon.builders.trained import latest_folder, load_trained, open_encoder, start_learnt_until, trained_folder
from openmoon.builders.workspace import Workspace
from openmoon.config import EncoderConfig, Recipe
from openmoon.errors import UserError
from openmoon.learnt import NO_BEHAVIOUR


def recipe(workdir: Path, encoder: EncoderConfig, **changes: object) -> Recipe:
    return Recipe.model_validate({"name": "r", "workdir": workdir, "encoder": encoder.model_dump(), **changes})


def trained(workdir: Path, stage: str, encoder: ProductEncoder) -> None:
    encoder.save_pretrained(workdir / stage / "encoder")
    (workdir / stage / "summary.json").write_text(json.dumps({"data_hash": "abc"}))
    by = recipe(workdir, encoder.config).model_dump(mode="json")
    (workdir / stage / "recipe.yaml").write_text(yaml.safe_dump(by))


def test_stages_that_did_not_finish_or_are_off_do_not_count(tmp_path: Path, tiny_encoder: ProductEncoder) -> None:
    plain = recipe(tmp_path, tiny_encoder.config)
    with pytest.raises(UserError, match="no encoder has been trained here"):
        latest_folder(plain)
    trained(tmp_path, "pretrain", tiny_encoder)
    tiny_encoder.save_pretrained(tmp_path / "posttrain" / "encoder")
    assert trained_folder(plain, "posttrain") is None, "it has no summary: it was killed while saving"
    assert latest_folder(plain) == tmp_path / "pretrain" / "encoder"
    trained(tmp_path, "posttrain", tiny_encoder)
    assert latest_folder(plain) == tmp_path / "posttrain" / "encoder"
    assert latest_folder(recipe(tmp_path, tiny_encoder.config, posttrain=None)) == tmp_path / "pretrain" / "encoder"


def work(settings: Recipe, learnt: str) -> Workspace:
    """As far as it is asked which encoder belongs to it."""
    return cast(Workspace, SimpleNamespace(recipe=settings, learnt_hash=lambda stage: learnt))


def test_other_data_and_another_architecture_are_refused(tmp_path: Path, tiny_encoder: ProductEncoder) -> None:
    trained(tmp_path, "pretrain", tiny_encoder)
    assert load_trained(work(recipe(tmp_path, tiny_encoder.config), "abc"), "pretrain") is not None
    with pytest.raises(UserError, match=r"was trained on other data or another split \(hash abc, now xyz\)"):
        load_trained(work(recipe(tmp_path, tiny_encoder.config), "xyz"), "pretrain")
    deeper = tiny_encoder.config.model_copy(update={"dims": [8]})
    with pytest.raises(UserError, match=r"encoder\.dims is \[4, 8\], the recipe says \[8\]"):
        load_trained(work(recipe(tmp_path, deeper), "abc"), "pretrain")


def test_an_encoder_is_not_passed_off_as_another_recipes(tmp_path: Path, tiny_encoder: ProductEncoder) -> None:
    trained(tmp_path, "pretrain", tiny_encoder)
    with pytest.raises(UserError, match=r"was trained with pretrain\.lr: 0\.0003, the recipe says 0\.1; undo the change"):
        load_trained(work(recipe(tmp_path, tiny_encoder.config, pretrain={"lr": 0.1}), "abc"), "pretrain")
    with pytest.raises(UserError, match="was trained with seed: 0, the recipe says 3"):
        load_trained(work(recipe(tmp_path, tiny_encoder.config, seed=3), "abc"), "pretrain")
    assert load_trained(work(recipe(tmp_path, tiny_encoder.config, posttrain={"lr": 0.1}), "abc"), "pretrain") is not None
    saved = tmp_path / "pretrain" / "recipe.yaml"
    saved.write_text(saved.read_text().replace("self_supervision:", "self_supervised:"))
    with pytest.raises(UserError, match="another version of openmoon"):
        load_trained(work(recipe(tmp_path, tiny_encoder.config), "abc"), "pretrain")


@pytest.mark.parametrize("content", ["", "[]", "{}", "no"])
@pytest.mark.parametrize("name", ["summary.json", "recipe.yaml"])
def test_damaged_files_of_a_run_are_named(tmp_path: Path, tiny_encoder: ProductEncoder, name: str, content: str) -> None:
    trained(tmp_path, "pretrain", tiny_encoder)
    (tmp_path / "pretrain" / name).write_text(content)
    with pytest.raises(UserError, match=rf"pretrain/{name}: "):
        load_trained(work(recipe(tmp_path, tiny_encoder.config), "abc"), "pretrain")


def test_stage_2_takes_over_what_its_start_has_learnt_from(tmp_path: Path, tiny_encoder: ProductEncoder) -> None:
    trained(tmp_path, "pretrain", tiny_encoder)
    assert start_learnt_until(recipe(tmp_path, tiny_encoder.config)) == NO_BEHAVIOUR
    assert start_learnt_until(recipe(tmp_path, tiny_encoder.config, pretrain=None)) == NO_BEHAVIOUR
    start = tmp_path / "start"
    onwards = recipe(tmp_path, tiny_encoder.config, pretrain=None, posttrain={"start": str(start)})
    tiny_encoder.save_pretrained(start, datetime(2025, 6, 1))
    assert start_learnt_until(onwards) == datetime(2025, 6, 1)
    tiny_encoder.save_pretrained(start)
    assert start_learnt_until(onwards) is None


def test_stage_2_belongs_to_the_stage_1_that_it_started_from(tmp_path: Path, tiny_encoder: ProductEncoder) -> None:
    settings = recipe(tmp_path, tiny_encoder.config)
    for stage, facts in (("pretrain", {"weights": "one"}), ("posttrain", {"weights": "two", "started_from": "one"})):
        trained(tmp_path, stage, tiny_encoder)
        (tmp_path / stage / "summary.json").write_text(json.dumps({"data_hash": "abc", **facts}))
    assert load_trained(work(settings, "abc"), "posttrain") is not None
    (tmp_path / "pretrain" / "summary.json").write_text(json.dumps({"data_hash": "abc", "weights": "another"}))
    with pytest.raises(UserError, match=r"posttrain/encoder: was trained from another encoder than .*pretrain/encoder holds now"):
        load_trained(work(settings, "abc"), "posttrain")


def test_the_encoder_of_a_run_is_that_of_the_recipe_and_any_other_is_named(tmp_path: Path, tiny_encoder: ProductEncoder) -> None:
    trained(tmp_path, "pretrain", tiny_encoder)
    other = recipe(tmp_path, tiny_encoder.config.model_copy(update={"dims": [8]}))
    with pytest.raises(UserError, match=r"encoder\.dims is \[4, 8\], the recipe says \[8\]"):
        open_encoder(other, None)
    folder = tmp_path / "pretrain" / "encoder"
    assert open_encoder(other, folder)[0] == open_encoder(recipe(tmp_path, tiny_encoder.config), None)[0] == folder
