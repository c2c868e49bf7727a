"""Which encoders a run has trained, and whether they belong to the recipe and the data that are asked about now."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import torch
import yaml
from pydantic import BaseModel, ValidationError

from openmoon.builders.workspace import Workspace
from openmoon.config import EncoderConfig, Recipe
from openmoon.console import console, plain
from openmoon.errors import UserError
from openmoon.io import read_json
from openmoon.learnt import NO_BEHAVIOUR, saved_learnt_until
from openmoon.models.encoder import ProductEncoder, build_encoder, upcycled

STAGES = ("pretrain", "posttrain")


def trained_folder(recipe: Recipe, stage: str) -> Path | None:
    """The encoder that `stage` saved; None when the recipe switches the stage off or it has not finished."""
    folder = recipe.workdir / stage
    finished = getattr(recipe, stage) is not None and (folder / "summary.json").exists()
    return folder / "encoder" if finished else None


def latest_folder(recipe: Recipe) -> Path:
    """The encoder of the last stage that was trained, which is said; `UserError` where none was."""
    found = {stage: folder for stage in STAGES if (folder := trained_folder(recipe, stage)) is not None}
    missing = [stage for stage in STAGES if getattr(recipe, stage) is not None and stage not in found]
    if not found:
        raise UserError(f"{recipe.workdir}: no encoder has been trained here; run `openmoon pretrain` and `openmoon posttrain` "
                        "with this recipe first.")  # fmt: skip
    folder = list(found.values())[-1]
    untrained = f"; [yellow]{' and '.join(missing)} of the recipe: not finished[/]" if missing else ""
    console.print(f"  encoder: {plain(folder)}{untrained}", highlight=False)
    return folder


def open_encoder(recipe: Recipe, folder: Path | None) -> tuple[Path, ProductEncoder]:
    """The saved encoder in `folder`, or by default that of the last stage that was trained, and where it is. Raises `UserError`
    where the latter was trained by another recipe."""
    if folder is not None:
        return folder, ProductEncoder.from_pretrained(folder)
    folder = latest_folder(recipe)
    return folder, _of_recipe(folder, recipe)


def load_trained(work: Workspace, stage: str) -> ProductEncoder | None:
    """The encoder of `stage`, or None as in `trained_folder`.

    Raises `UserError` when it was trained on other data or another split (it might have seen what is held out now), by another
    recipe, from another stage 1, or has another architecture than the recipe says.
    """
    recipe, expected = work.recipe, work.learnt_hash(stage)
    folder = trained_folder(recipe, stage)
    if folder is None:
        return None
    summary = read_json(folder.parent / "summary.json", "data_hash")
    trained_on, started_from = summary["data_hash"], summary.get("started_from")
    if trained_on != expected:
        raise UserError(f"{folder}: was trained on other data or another split (hash {trained_on}, now {expected}) and may have "
                        f"seen what is held out now; run `openmoon {stage} --fresh`, or choose another workdir.")  # fmt: skip
    encoder = _of_recipe(folder, recipe)
    if stage == "posttrain" and started_from and (now := starting_weights(recipe)) and started_from != now:
        raise UserError(f"{folder}: was trained from another encoder than {starting_folder(recipe)} holds now; run `openmoon "
                        f"{stage} --fresh`.")  # fmt: skip
    return encoder


def load_latest(work: Workspace) -> ProductEncoder:
    """The encoder of the last stage that was trained, as `load_trained`; `UserError` where none was."""
    encoder = load_trained(work, latest_folder(work.recipe).parent.name)
    assert encoder is not None  # its folder is there
    return encoder


def starting_encoder(work: Workspace) -> ProductEncoder:
    """What stage 2 starts from: `posttrain.start`, stage 1, or without either the pretrained trunks with a new fusion; with the
    experts that the recipe asks for. `UserError` where stage 1 is missing or the architecture is another."""
    recipe = work.recipe
    start = recipe.posttrain.start if recipe.posttrain else None
    if start is not None:
        encoder = ProductEncoder.from_pretrained(start)
        _require_same(start, encoder.config.dense(), recipe.encoder.dense(), "take over its `encoder` section")
        warn_if_foreign("posttrain.start", start, work)
    elif recipe.pretrain is not None:
        trained = load_trained(work, "pretrain")
        if trained is None:
            raise UserError(f"{recipe.workdir / 'pretrain'}: stage 1 has not been trained; run `openmoon pretrain` with this "
                            "recipe first, or start from the bare trunks with pretrain=null.")  # fmt: skip
        encoder = trained
    else:
        torch.manual_seed(recipe.seed)
        return build_encoder(recipe.encoder)
    torch.manual_seed(recipe.seed)
    if encoder.config.fusion.experts:
        _require_same(start or recipe.workdir, encoder.config, recipe.encoder, "take over its `encoder` section")
        return encoder
    return upcycled(encoder, recipe.encoder)


def starting_folder(recipe: Recipe) -> Path | None:
    """The saved encoder that stage 2 starts from, None where it starts from the bare trunks or stage 1 is not trained yet."""
    start = recipe.posttrain.start if recipe.posttrain else None
    return start or trained_folder(recipe, "pretrain")


def starting_weights(recipe: Recipe) -> str | None:
    """Fingerprint of the saved encoder that stage 2 starts from; None where there is none, or nothing beside it says so."""
    folder = starting_folder(recipe)
    return _said_beside(folder, "weights") if folder else None


def start_learnt_until(recipe: Recipe) -> datetime | None:
    """The latest event that the encoder which stage 2 starts from has learnt from; stage 1 and the bare trunks know none. None
    where `posttrain.start` does not say."""
    start = recipe.posttrain.start if recipe.posttrain else None
    return NO_BEHAVIOUR if start is None else saved_learnt_until(start)


def starts_untrained(recipe: Recipe) -> bool:
    """Whether stage 2 starts from the bare pretrained trunks."""
    return recipe.pretrain is None and (recipe.posttrain is None or recipe.posttrain.start is None)


def _of_recipe(folder: Path, recipe: Recipe) -> ProductEncoder:
    """The encoder that a stage of the recipe saved; `UserError` where another recipe trained it."""
    stage = folder.parent.name
    _require_recipe(folder, recipe, stage)
    encoder = ProductEncoder.from_pretrained(folder)
    wanted = recipe.encoder.dense() if stage == "pretrain" else recipe.encoder
    _require_same(folder, encoder.config, wanted, f"undo the change, or run `openmoon {stage} --fresh`")
    return encoder


def _require_recipe(folder: Path, recipe: Recipe, stage: str) -> None:
    """`UserError` where the encoder of a stage in `folder` was trained with another section of the recipe or another seed: what
    is said of an encoder comes with its recipe."""
    section: BaseModel = getattr(recipe, stage)
    try:
        saved = yaml.safe_load((folder.parent / "recipe.yaml").read_text(encoding="utf-8"))
        trained, seed = type(section).model_validate(saved[stage]).model_dump(mode="json"), saved["seed"]
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        raise UserError(f"{folder.parent / 'recipe.yaml'}: is not the recipe that this encoder was trained by; run `openmoon "
                        f"{stage} --fresh`.") from error  # fmt: skip
    except ValidationError as error:
        raise UserError(f"{folder}: was trained by another version of openmoon, whose {stage} section is another; run `openmoon "
                        f"{stage} --fresh`, or choose another workdir.") from error  # fmt: skip
    pairs = {f"{stage}.{name}": (trained[name], value) for name, value in section.model_dump(mode="json").items()}
    for name, (theirs, ours) in {"seed": (seed, recipe.seed), **pairs}.items():
        if theirs != ours:
            raise UserError(f"{folder}: was trained with {name}: {theirs}, the recipe says {ours}; undo the change, run "
                            f"`openmoon {stage} --fresh`, or choose another workdir.")  # fmt: skip


def _require_same(folder: Path, found: EncoderConfig, wanted: EncoderConfig, remedy: str) -> None:
    ours, theirs = wanted.model_dump(), found.model_dump()
    for part in ours:
        if ours[part] != theirs[part]:
            raise UserError(f"{folder}: encoder.{part} is {theirs[part]}, the recipe says {ours[part]}; {remedy}.")


def warn_if_foreign(option: str, start: Path, work: Workspace) -> None:
    """Say that the saved encoder in `start`, which `option` names, was trained on other data or another split, or does not say on
    which."""
    if _said_beside(start, "data_hash") not in (work.catalogue_hash, work.data_hash):
        console.print(f"  [yellow]{option}[/]: {plain(start)} was not trained on these data with this split; if it saw products "
                      "that are held out now, their evaluation says too much")  # fmt: skip


def _said_beside(folder: Path, field: str) -> str | None:
    """What summary.json beside a saved encoder says; None where there is none, or one that no training of ours wrote."""
    try:
        return read_json(folder.parent / "summary.json", field)[field]
    except UserError:  # the encoder may come from anywhere
        return None
