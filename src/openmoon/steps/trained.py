"""Which encoders a run has trained, and whether they belong to the recipe and the data that are asked about now."""

from __future__ import annotations

import json
from pathlib import Path

from openmoon.config import Recipe
from openmoon.errors import UserError
from openmoon.models.encoder import ProductEncoder

STAGES = ("pretrain", "posttrain")


def trained_folder(recipe: Recipe, stage: str) -> Path | None:
    """The encoder that `stage` saved; None when the recipe switches the stage off or it has not finished."""
    folder = recipe.workdir / stage
    finished = getattr(recipe, stage) is not None and (folder / "summary.json").exists()
    return folder / "encoder" if finished else None


def latest_folder(recipe: Recipe) -> Path:
    """The encoder of the last stage that was trained."""
    found = [folder for stage in STAGES if (folder := trained_folder(recipe, stage)) is not None]
    if not found:
        raise UserError(f"{recipe.workdir}: no encoder has been trained here; run `openmoon pretrain` and `openmoon posttrain` "
                        "with this recipe first.")  # fmt: skip
    return found[-1]


def load_trained(recipe: Recipe, stage: str, data_hash: str) -> ProductEncoder | None:
    """The encoder of `stage`, or None as in `trained_folder`.

    Raises `UserError` when it was trained on other data or another split (it might have seen what is held out now), or has
    another architecture than the recipe says.
    """
    folder = trained_folder(recipe, stage)
    if folder is None:
        return None
    trained_on = json.loads((folder.parent / "summary.json").read_text(encoding="utf-8"))["data_hash"]
    if trained_on != data_hash:
        raise UserError(f"{folder}: was trained on other data or another split (hash {trained_on}, now {data_hash}) and may have "
                        f"seen what is held out now; run `openmoon {stage} --fresh`, or choose another workdir.")  # fmt: skip
    encoder = ProductEncoder.from_pretrained(folder)
    wanted = (recipe.encoder.dense() if stage == "pretrain" else recipe.encoder).model_dump()
    found = encoder.config.model_dump()
    for part in wanted:
        if wanted[part] != found[part]:
            raise UserError(f"{folder}: encoder.{part} is {found[part]}, the recipe says {wanted[part]}; undo the change, or "
                            f"run `openmoon {stage} --fresh`.")  # fmt: skip
    return encoder
