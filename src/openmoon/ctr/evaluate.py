"""Measure trained models and baselines on the same test impressions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from openmoon.ctr.baselines import BASELINES, position_only
from openmoon.ctr.log import CtrLog
from openmoon.ctr.metrics import GroupAucs, auc, calibration, group_aucs, interval, log_loss, pcoc
from openmoon.ctr.results import Figures, Gain, Slice, System
from openmoon.ctr.slices import NEW_PRODUCTS, UNKNOWN_PRODUCTS, slices
from openmoon.data.tables import read_parquet
from openmoon.errors import UserError
from openmoon.io import content_hash

REFERENCE = "din"


@dataclass(frozen=True)
class HeldOut:
    """The test impressions: numbers of the candidates, labels, shoppers as numbers from 0, slices, and a hash of all that."""

    rows: np.ndarray
    labels: np.ndarray
    shoppers: np.ndarray
    slices: dict[str, dict[str, np.ndarray]]
    hash: str

    @property
    def shopper_count(self) -> int:
        """How many shoppers there are."""
        return int(self.shoppers.max()) + 1


def held_out(log: CtrLog, truth: pl.DataFrame | None) -> HeldOut:
    """The test part of the log. `truth` (uniform, row by row of the events) adds the slice of lists in random order."""
    rows = log.candidates(log.requests("test"))
    uniform = None if truth is None else truth["uniform"].to_numpy()[log.row[rows]]
    _, shoppers = np.unique(log.shopper[log.request_of(rows)], return_inverse=True)
    labels = log.label[rows]
    identity = content_hash(log.row[rows].tobytes(), labels.tobytes())[:16]
    return HeldOut(rows, labels, shoppers, slices(log, rows, uniform), identity)


def load_scores(folder: Path, log: CtrLog, part: HeldOut) -> np.ndarray:
    """(n,) what the run in `folder` predicted for the test impressions. `UserError` where it predicted others, or no numbers."""
    path = folder / "scores.parquet"
    if not (path.is_file() and (folder / "summary.json").is_file()):
        raise UserError(f"{path}: no predictions; `openmoon ctr train` makes them.")
    table = read_parquet(path)
    if not {"row", "probability"} <= set(table.columns) or not table["probability"].dtype.is_float():
        raise UserError(f"{path}: not the predictions of a model (row, probability); run `openmoon ctr train --fresh`.")
    if not np.array_equal(table["row"].to_numpy(), log.row[part.rows]):
        raise UserError(f"{path}: predicts other impressions than this recipe's test part; models are compared on the same "
                        "impressions only. Run `openmoon ctr train` again.")  # fmt: skip
    found = table["probability"].to_numpy()
    if not np.isfinite(found).all():
        raise UserError(f"{path}: {np.count_nonzero(~np.isfinite(found)):,} of {len(found):,} predictions are no numbers: the "
                        "training diverged; a smaller ctr.lr helps.")  # fmt: skip
    return found


def measure(
    part: HeldOut,
    scores: Mapping[int, np.ndarray],
    reference: Mapping[int, np.ndarray] | None,
    summaries: Sequence[Path],
) -> System:
    """A system from the predictions of its seeds. `reference` are those of the id-only model, for gains."""
    found = {str(seed): _figures(part, p, None) for seed, p in scores.items()}
    cut = {kind: {name: _slice(part, list(scores.values()), mask) for name, mask in parts.items()}
           for kind, parts in part.slices.items()}  # fmt: skip
    facts = [json.loads(path.read_text(encoding="utf-8")) for path in summaries]
    products = part.slices.get("product", {})
    new, unknown = (products.get(name) for name in (NEW_PRODUCTS, UNKNOWN_PRODUCTS))
    return System(
        seeds=found,
        slices=cut,
        calibration=_calibration(part.labels, scores),
        gain=_gain(part, scores, reference, None) if reference else None,
        new_gain=_gain(part, scores, reference, new) if reference and new is not None else None,
        unknown_gain=_gain(part, scores, reference, unknown) if reference and unknown is not None else None,
        rows_per_s=float(np.median([one["rows_per_s"] for one in facts])) if facts else None,
        leakage=_mean_leakage(facts),
        facts={name: facts[0][name] for name in ("codes", "content_val") if facts and name in facts[0]},
    )


def baselines(log: CtrLog, part: HeldOut) -> dict[str, dict[int, np.ndarray]]:
    """Baseline → its predictions; there is nothing random in them. None from the place on the page where no place is known."""
    fit = {name: baseline for name, baseline in BASELINES.items() if baseline is not position_only or log.position.any()}
    return {name: {0: baseline(log, part.rows)} for name, baseline in fit.items()}


def _figures(part: HeldOut, p: np.ndarray, mask: np.ndarray | None) -> Figures:
    labels, shoppers = part.labels, part.shoppers
    if mask is not None:
        labels, shoppers, p = labels[mask], shoppers[mask], p[mask]
    return Figures(auc=auc(labels, p), gauc=group_aucs(labels, p, shoppers, part.shopper_count).mean(),
                   log_loss=log_loss(labels, p), pcoc=pcoc(labels, p))  # fmt: skip


def _calibration(labels: np.ndarray, scores: Mapping[int, np.ndarray]) -> dict[str, Any] | None:
    """The curve, bin by bin the mean over the seeds, and the mean of their errors."""
    curves = [curve for p in scores.values() if (curve := calibration(labels, p))]
    if not curves:
        return None
    mean = {name: np.mean([getattr(one, name) for one in curves], axis=0).tolist() for name in ("predicted", "observed")}
    return {**mean, "rows": curves[0].rows, "error": float(np.mean([one.error for one in curves]))}


def _slice(part: HeldOut, scores: list[np.ndarray], mask: np.ndarray) -> Slice:
    each = [_figures(part, p, mask) for p in scores]
    mean = {}
    for name in Figures.model_fields:
        values = [value for one in each if (value := getattr(one, name)) is not None]
        mean[name] = float(np.mean(values)) if values else None
    return Slice(rows=int(mask.sum()), chosen=int(part.labels[mask].sum()), figures=Figures(**mean))


def _gain(
    part: HeldOut, scores: Mapping[int, np.ndarray], reference: Mapping[int, np.ndarray], mask: np.ndarray | None
) -> Gain | None:
    ours, theirs = (_shopper_aucs(part, p, mask) for p in (scores, reference))
    between = interval(ours, theirs)
    mean, base = ours.mean(), theirs.mean()
    return (
        Gain(gauc=mean - base, low=between[0], high=between[1])
        if between and mean is not None and base is not None
        else None
    )


def _shopper_aucs(part: HeldOut, scores: Mapping[int, np.ndarray], mask: np.ndarray | None) -> GroupAucs:
    """AUC per shopper, the mean over the seeds."""
    chosen = np.ones(len(part.labels), bool) if mask is None else mask
    each = [
        group_aucs(part.labels[chosen], p[chosen], part.shoppers[chosen], part.shopper_count) for p in scores.values()
    ]
    return GroupAucs(np.mean([one.auc for one in each], axis=0), each[0].rows)


def _mean_leakage(facts: list[dict[str, Any]]) -> dict[str, float | None] | None:
    found = [one["popularity_leakage"] for one in facts if "popularity_leakage" in one]
    if not found:
        return None
    return {name: None if any(one[name] is None for one in found) else float(np.mean([one[name] for one in found]))
            for name in found[0]}  # fmt: skip
