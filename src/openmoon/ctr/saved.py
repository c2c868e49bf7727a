"""A trained model as a folder: config.json, model.safetensors, vocabulary.parquet and, of semantic ids, codebooks.npy.

Vectors are not in it: they are looked up in the table that the folder's encoder made.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file

from openmoon.config.ctr import CtrConfig
from openmoon.ctr.build import Parts, build, uses_vectors
from openmoon.ctr.codes import Codebooks
from openmoon.ctr.content import VectorRows
from openmoon.ctr.entities import Entities
from openmoon.ctr.model import CtrModel
from openmoon.ctr.vocabulary import Vocabulary
from openmoon.errors import UserError
from openmoon.io import atomic_path, write_json

FORMAT = 1


def save_model(folder: Path, name: str, model: CtrModel, parts: Parts) -> None:
    """Write the folder's files, each whole or not at all; config.json, without which it cannot be loaded, last."""
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, temporary)
    parts.vocabulary.save(folder / "vocabulary.parquet")
    if parts.codebooks is not None:
        with atomic_path(folder / "codebooks.npy") as temporary, open(temporary, "wb") as file:
            np.save(file, parts.codebooks.centroids)
    used = uses_vectors(name) and parts.rows is not None
    write_json(folder / "config.json", {
        "format": FORMAT, "model": name, "config": parts.config.model_dump(mode="json"),
        "encoder": parts.vectors.encoder if used else None, "vector_dim": parts.vectors.dim if used else None,
    })  # fmt: skip


def saved_config(folder: Path) -> dict[str, object]:
    """The folder's config.json. Raises `UserError` where there is none, or one of another version."""
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder}: no CTR model here (config.json is missing). `openmoon ctr train` makes one.")
    found = json.loads(path.read_text(encoding="utf-8"))
    if found.get("format") != FORMAT:
        raise UserError(
            f"{path}: format is {found.get('format')!r}, this openmoon reads {FORMAT}; train the model again."
        )
    return dict(found)


def load_model(folder: Path, entities: Entities, rows: VectorRows | None) -> CtrModel:
    """The model, for some products and queries. Raises `UserError` for vectors of another encoder or dimension than the model was
    trained with, and where it needs vectors and there are none."""
    saved = saved_config(folder)
    name = str(saved["model"])
    if uses_vectors(name):
        check_vectors(folder, saved, rows)
    codebooks = Codebooks(np.load(folder / "codebooks.npy")) if name == "semantic_ids" else None
    config = CtrConfig.model_validate(saved["config"])
    model = build(name, Parts(entities, Vocabulary.load(folder / "vocabulary.parquet"), config, rows, codebooks))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def check_vectors(folder: Path, saved: dict[str, object], rows: VectorRows | None) -> None:
    """`UserError` where vectors are not those that the model in `folder` was trained with."""
    if rows is None:
        raise UserError(
            f"{folder}: model {saved['model']} reads vectors; name the table that {saved['encoder']!r} made."
        )
    if rows.dim != saved["vector_dim"]:
        raise UserError(f"{folder}: trained with vectors of {saved['vector_dim']} dimensions, these have {rows.dim}; use the "
                        f"table that {saved['encoder']!r} made, or train the model again.")  # fmt: skip
    if rows.encoder != saved["encoder"]:
        raise UserError(f"{folder}: trained with vectors of encoder {saved['encoder']!r}, these are of {rows.encoder!r}; use its "
                        "table, or train the model again.")  # fmt: skip
