"""What a run's last encoder tells of labels, as `openmoon benchmark` asks it, kept beside the run's evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from openmoon.builders.shop_suite import shop_suite
from openmoon.builders.systems import CachedEncode
from openmoon.builders.trained import latest_folder
from openmoon.builders.workspace import cache_folder
from openmoon.config import Recipe
from openmoon.data.image_cache import ImageCache
from openmoon.evaluation.benchmark.labels import label_tasks
from openmoon.evaluation.benchmark.results import LabelCell
from openmoon.evaluation.benchmark.system import System
from openmoon.io import write_text
from openmoon.models.encoder import ProductEncoder

VIEW = "both"  # titles and pictures


class LabelAccuracy(BaseModel):
    """Accuracy of zero-shot classes, and the mean over the attributes' probes, on held-out products by title and picture; None
    where the shop has no such labels."""

    model_config = ConfigDict(extra="forbid")

    encoder: str  # fingerprint
    classes: float | None
    attributes: float | None


def label_accuracy(recipe: Recipe) -> LabelAccuracy:
    """Of the last stage's encoder; measured once for the weights that it has."""
    encoder = ProductEncoder.from_pretrained(latest_folder(recipe))
    fingerprint, path = encoder.fingerprint(), recipe.workdir / "labels.json"
    if (kept := _kept(path)) is not None and kept.encoder == fingerprint:
        return kept
    suite, cache = shop_suite(recipe), cache_folder(recipe)
    images = ImageCache(cache, encoder.image_size)
    images.fill(suite.pictures())
    classes, probes = label_tasks([System("encoder", CachedEncode(encoder, images, cache))], suite)
    attributes = [cell for cell in probes if cell.label != "category"]
    found = LabelAccuracy(encoder=fingerprint, classes=_accuracy(classes), attributes=_accuracy(attributes))
    write_text(path, found.model_dump_json(indent=2) + "\n")
    return found


def _kept(path: Path) -> LabelAccuracy | None:
    try:
        return LabelAccuracy.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):  # not there, or of another version: measured again
        return None


def _accuracy(cells: list[LabelCell]) -> float | None:
    scores = [scores.accuracy for cell in cells if cell.view == VIEW and (scores := cell.metrics["encoder"]) is not None]
    return float(np.mean(scores)) if scores else None
