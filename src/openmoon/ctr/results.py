"""The result file of CTR models: every system on the same test impressions, per seed, and what it gains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from openmoon.errors import UserError
from openmoon.io import write_text

DIGITS = {"auc": 4, "gauc": 4, "log_loss": 4, "pcoc": 3}  # that metrics are printed with
UNDEFINED = "undefined"


class Figures(BaseModel):
    """Metrics of one seed on some impressions; None = not defined there (one class only, or no choice)."""

    auc: float | None
    gauc: float | None
    log_loss: float | None
    pcoc: float | None


class Slice(BaseModel):
    """Some of the test impressions: how many, how many of them chosen, and the mean figures over the seeds."""

    rows: int
    chosen: int
    figures: Figures


class Gain(BaseModel):
    """GAUC over the reference model: mean over the seeds, and its 95% interval over the shoppers."""

    gauc: float
    low: float
    high: float


class System(BaseModel):
    """A model or baseline. `seeds` has the figures of each seed on the whole test part."""

    seeds: dict[str, Figures]
    slices: dict[str, dict[str, Slice]]
    calibration: dict[str, Any] | None
    gain: Gain | None = None
    new_gain: Gain | None = None  # on products that are new
    unknown_gain: Gain | None = None  # on products that training met too rarely for an id
    rows_per_s: float | None = None
    leakage: dict[str, float | None] | None = None
    facts: dict[str, Any] = {}

    def mean(self, metric: str) -> float | None:
        """Of a metric over the seeds."""
        found = [value for one in self.seeds.values() if (value := getattr(one, metric)) is not None]
        return float(np.mean(found)) if found else None

    def spread(self, metric: str) -> float | None:
        """Standard deviation over the seeds; None for fewer than two."""
        found = [value for one in self.seeds.values() if (value := getattr(one, metric)) is not None]
        return float(np.std(found, ddof=1)) if len(found) > 1 else None

    def text(self, metric: str) -> str:
        """Mean and deviation over the seeds as printed."""
        mean, spread, digits = self.mean(metric), self.spread(metric), DIGITS[metric]
        if mean is None:
            return UNDEFINED
        return f"{mean:.{digits}f}" + (f" ± {spread:.{digits}f}" if spread is not None else "")


class CtrResult(BaseModel):
    """Everything that `openmoon ctr evaluate` writes."""

    recipe: dict[str, Any]
    counts: dict[str, int]
    candidates: str  # hash of the test impressions: systems with another one are not comparable
    reference: str | None  # the id-only model that gains are measured against
    coverage: float | None  # share of products with a vector
    systems: dict[str, System]
    seconds: float
    versions: dict[str, str]
    machine: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_text(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> CtrResult:
        """Read what `save` wrote; `UserError` for a missing or different file."""
        if not path.is_file():
            raise UserError(f"{path}: no results of CTR models. `openmoon ctr evaluate` writes them.")
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:  # pydantic's are ValueErrors
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{path}: not results of CTR models ({reason}). `openmoon ctr evaluate` writes them anew."
            ) from error

    def to_table(self) -> str:
        """The systems as a Markdown table: means and deviations over seeds, gain over the reference with its interval."""
        head = f"| model | seeds | AUC | GAUC | LogLoss | PCOC | GAUC gain over {self.reference or '—'} | rows/s |\n"
        lines = [head, "|---|---:|---:|---:|---:|---:|---:|---:|\n"]
        for name, system in self.systems.items():
            cells = [system.text(metric) for metric in DIGITS]
            gain = f"{system.gain.gauc:+.4f} [{system.gain.low:+.4f}, {system.gain.high:+.4f}]" if system.gain else ""
            speed = f"{system.rows_per_s:,.0f}" if system.rows_per_s else ""
            lines.append(f"| {name} | {len(system.seeds)} | {' | '.join(cells)} | {gain} | {speed} |\n")
        return "".join(lines)
