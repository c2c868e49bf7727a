"""What a run's last encoder tells of labels, as `openmoon benchmark` asks it, kept beside the run's evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from openmoon.builders.shop_suite import shop_suite
from openmoon.builders.systems import CachedEncode, scratch_folder
from openmoon.builders.trained import latest_folder
from openmoon.builders.workspace import cache_folder
from openmoon.config import Recipe
from openmoon.data.image_cache import ImageCache
from openmoon.evaluation.benchmark.labels import label_tasks
from openmoon.evaluation.benchmark.results import LabelCell
from openmoon.evaluation.benchmark.suite import settle
from openmoon.evaluation.benchmark.system import System
from openmoon.io import write_text
from openmoon.models.encoder import ProductEncoder
from openmoon.steps.evaluate import tunes_trunks

VIEW = "both"  # titles and pictures


class LabelAccuracy(BaseModel):
    """Accuracy of zero-shot classes, and the mean over the attributes' probes, on held-out products by title and picture; None
    where the shop has no such labels."""

    model_config = ConfigDict(extra="forbid")

    encoder: str  # fingerprint
    suite: str  # hash of what was asked
    classes: float | None
    attributes: float | None


def label_accuracy(recipe: Recipe) -> LabelAccuracy:
    """Of the last stage's encoder; measured once for the weights that it has and what is asked."""
    encoder = ProductEncoder.from_pretrained(latest_folder(recipe))
    images = ImageCache(cache_folder(recipe), encoder.image_size)
    suite, fingerprint, path = settle(shop_suite(recipe), images), encoder.fingerprint(), recipe.workdir / "labels.json"
    if (kept := _kept(path)) is not None and (kept.encoder, kept.suite) == (fingerprint, suite.revision):
        return kept
    with scratch_folder(recipe.workdir) as temporary:
        encode = CachedEncode(encoder, images, temporary if tunes_trunks(recipe) else cache_folder(recipe))
        classes, probes = label_tasks([System("encoder", encode)], suite)
    attributes = [cell for cell in probes if cell.label != "category"]
    found = LabelAccuracy(
        encoder=fingerprint, suite=suite.revision, classes=_accuracy(classes), attributes=_accuracy(attributes)
    )
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
