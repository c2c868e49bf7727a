"""One model under one seed, trained and saved to a folder together with what it predicts for the test part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from openmoon.config.ctr import CtrConfig
from openmoon.ctr.batches import Batches
from openmoon.ctr.build import Parts, adjusted_vectors, build, build_content_model
from openmoon.ctr.codes import code_quality, residual_kmeans
from openmoon.ctr.debias import HeadAndTail, exposure_weights
from openmoon.ctr.fit import Fitted, Plan, fit, predict
from openmoon.ctr.log import CtrLog
from openmoon.ctr.model import POSITIONS, CtrModel
from openmoon.ctr.models.make import ContentModel
from openmoon.ctr.probe import popularity_leakage
from openmoon.ctr.saved import save_model
from openmoon.errors import UserError
from openmoon.io import atomic_path, content_hash, read_json, write_json
from openmoon.runtime import machine, versions

PREDICT_FACTOR = 4  # batches of predictions are so many times larger than those of training


@dataclass(frozen=True)
class Job:
    """What is trained: a model's name, its seed, and where it goes."""

    name: str
    seed: int
    folder: Path


OnStep = Callable[[int, int, str], None]


def train(
    job: Job, log: CtrLog, parts: Parts, data_hash: str, on_step: OnStep = lambda step, total, note: None
) -> bool:
    """Train, save the model to `job.folder`, predict the test part; False where that was done before on the same data with the
    same settings. Writes model files, metrics.jsonl, scores.parquet (row of the events, probability) and summary.json."""
    config, folder = parts.config, job.folder
    run = run_id(job, config, data_hash)
    summary = folder / "summary.json"
    written = all((folder / name).is_file() for name in ("scores.parquet", "config.json", "model.safetensors"))
    if written and summary.exists() and read_json(summary, "run")["run"] == run:
        return False
    summary.unlink(missing_ok=True)  # it vouches for the files beside it, which are about to change
    train_on, val, test = (_batches(log, split, config) for split in ("train", "val", "test"))
    if job.name == "cube_ipw":
        train_on = _batches(log, "train", config, exposure_weights(log, config.weigh_exposure))
    facts: dict[str, object] = {}
    first_stage = None
    if job.name in ("make", "simtier_make"):
        first_stage, facts["content_val"] = _content_model(job, parts, train_on, val, run, on_step)
    if job.name == "semantic_ids":
        vectors = _with_vectors(parts)
        codebooks = residual_kmeans(vectors, config.semantic_ids.levels, config.semantic_ids.codes, job.seed)
        parts = replace(parts, codebooks=codebooks)
        facts["codes"] = vars(code_quality(vectors, codebooks.encode(vectors), config.semantic_ids.codes))
    torch.manual_seed(job.seed)  # here, since a first stage that is resumed draws other numbers than one that is not
    model = build(job.name, parts, first_stage.network if first_stage else None)
    if first_stage is not None and model.content is not None:
        # its network expects the vector that it has learnt for what has none
        model.content.load_state_dict(first_stage.content.state_dict())
        model.content.requires_grad_(False)
    model.places.copy_(_places(log))
    addition = None
    if job.name == "cube_debias" and model.content is not None:
        addition = HeadAndTail(model.content, log, config.debias, len(train_on), job.seed)
    fitted = fit(model, train_on, val, _plan(config, config.epochs, job.seed), folder, run, "ctr", addition, on_step)
    if model.content is not None:
        facts["popularity_leakage"] = _leakage(model, log)
    scores = predict(model, test)
    if not np.isfinite(scores).all():
        raise UserError(f"{folder}: {np.count_nonzero(~np.isfinite(scores)):,} of {len(scores):,} predictions are no numbers: "
                        "the training diverged; lower ctr.lr and train again.")  # fmt: skip
    _write_scores(folder / "scores.parquet", log, test, scores)
    save_model(folder, job.name, model, parts)
    write_json(summary, {"run": run, "model": job.name, "seed": job.seed, **_figures(fitted), **facts,
                         "parameters": sum(p.numel() for p in model.parameters()), "versions": versions(),
                         "machine": machine()})  # fmt: skip
    for stage in (folder, folder / "content"):
        (stage / "checkpoint.pt").unlink(missing_ok=True)
    return True


def run_id(job: Job, config: CtrConfig, data_hash: str) -> str:
    """Identity of a run: model, seed, settings, and the data, vectors included where the model uses them."""
    settings = config.model_dump_json(exclude={"models", "seeds", "truth", "layout"})
    return content_hash(job.name, str(job.seed), settings, data_hash)


def _batches(log: CtrLog, split: str, config: CtrConfig, weights: np.ndarray | None = None) -> Batches:
    size = config.batch_size * (1 if split == "train" else PREDICT_FACTOR)
    return Batches(log, log.requests(split), size, config.length, weights)


def _plan(config: CtrConfig, epochs: int, seed: int) -> Plan:
    return Plan(epochs, config.lr, config.weight_decay, config.checkpoint_every, seed)


def _content_model(
    job: Job, parts: Parts, train_on: Batches, val: Batches, run: str, on_step: OnStep
) -> tuple[ContentModel, list[dict[str, float | None]]]:
    """MAKE's first stage: many passes, the best of which is kept."""
    torch.manual_seed(job.seed)
    model = build_content_model(parts)
    plan = _plan(parts.config, parts.config.make_epochs, job.seed)
    fitted = fit(
        model, train_on, val, plan, job.folder / "content", content_hash("content", run), "ctr content", None, on_step
    )
    assert fitted.val is not None
    return model, fitted.val


def _with_vectors(parts: Parts) -> np.ndarray:
    products = parts.vectors.vectors[1 : parts.entities.first_query].numpy()
    return products[products.any(1)]


def _places(log: CtrLog) -> torch.Tensor:
    """Shares of the places on the page among the training impressions."""
    counts = np.zeros(POSITIONS)
    for some in log.blocks("train"):
        counts += np.bincount(log.position[some].clip(0, POSITIONS - 1), minlength=POSITIONS)
    return torch.from_numpy((counts / counts.sum()).astype(np.float32))


def _leakage(model: CtrModel, log: CtrLog) -> dict[str, float | None]:
    shown = log.shown("train")[1 : log.entities.first_query]
    assert model.content is not None
    plain = model.content.vectors[1 : log.entities.first_query].numpy()
    return {
        "v": popularity_leakage(plain, shown),
        "v_adjusted": popularity_leakage(adjusted_vectors(model, log.entities), shown),
    }


def _write_scores(path: Path, log: CtrLog, test: Batches, probabilities: np.ndarray) -> None:
    table = pl.DataFrame({"row": log.row[test.candidates], "probability": probabilities})
    with atomic_path(path) as temporary:
        table.write_parquet(temporary)


def _figures(fitted: Fitted) -> dict[str, object]:
    return {"steps": fitted.step, "seconds": round(fitted.seconds, 2), "rows_per_s": round(fitted.rows_per_s),
            "best_epoch": fitted.best_epoch, "val": fitted.val}  # fmt: skip
