"""Training curves as small SVG charts, one for each thing that is logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from openmoon.report.plots import BEST, LINE, SOFT, Chart, svg

KEPT = "kept"
CHARTS = {
    "loss": "Loss",
    "val.score": "Validation score",
    "temperature": "Temperature τ",
    "mean_cosine": "Mean pairwise cosine",
    "effective_rank": "Effective rank",
    KEPT: "Share of the batch that counts fully",
    "lr": "Learning rate",
}  # logged name (dots go into dictionaries): title; the order of the page
POINTS = 300  # of a curve at most: a longer run is averaged over equal stretches of steps


def charts_by_stage(metrics: Sequence[Mapping[str, Any]]) -> dict[str, list[Chart]]:
    """Stage → its charts, stages in the order of the log; what a stage did not log has no chart."""
    stages = dict.fromkeys(str(line["stage"]) for line in metrics)
    return {stage: _charts(stage, [line for line in metrics if line["stage"] == stage]) for stage in stages}


def throughput(metrics: Sequence[Mapping[str, Any]], stage: str) -> float | None:
    """Median samples per second of a stage's steps; None when it was not logged."""
    _, values = _series([line for line in metrics if line["stage"] == stage], "samples_per_s")
    return float(np.median(values)) if len(values) else None


def _charts(stage: str, lines: Sequence[Mapping[str, Any]]) -> list[Chart]:
    found = {name: _series(lines, name) for name in CHARTS}
    return [_chart(stage, name, *series) for name, series in found.items() if len(series[0])]


def _series(lines: Sequence[Mapping[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of the lines that have `name`."""
    found = [(line["step"], value) for line in lines if (value := _get(line, name)) is not None]
    steps, values = zip(*found, strict=True) if found else ((), ())
    return np.array(steps, float), np.array(values, float)


def _get(line: Mapping[str, Any], name: str) -> Any:
    if name == KEPT:  # of each of the five objectives, or of all pairs
        shares = [share for what, share in line.items() if what.startswith(KEPT)]
        return sum(shares) / len(shares) if shares else None
    value: Any = line
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _chart(stage: str, name: str, steps: np.ndarray, values: np.ndarray) -> Chart:
    best = int(np.argmax(values))
    first, peak, last = (f"{values[place]:.3g}" for place in (0, best, -1))
    notes = {"val.score": f"best {peak} at step {steps[best]:,.0f}", "lr": f"peak {peak}"}
    note = notes.get(name, f"last {last}")
    alt = f"{CHARTS[name]} of {stage}: {first} at step {steps[0]:,.0f}, {last} at step {steps[-1]:,.0f}; {note}"

    def draw(axes: Axes) -> None:
        axes.locator_params(nbins=4)
        axes.margins(x=0.02, y=0.12)
        axes.set_xlabel("step", color=SOFT)
        x, y = _thinned(steps, values)
        if name == "loss":
            axes.plot(x, y, color=LINE, linewidth=0.8, alpha=0.35)
            axes.plot(x, _smoothed(y), color=LINE, linewidth=1.8)
        elif name == "val.score":
            axes.plot(x, y, color=LINE, linewidth=1.8, marker="o", markersize=2.5)
            axes.plot(steps[best], values[best], "o", color=BEST, markersize=6)
        else:
            axes.plot(x, y, color=LINE, linewidth=1.8)

    return Chart(CHARTS[name], note, svg(draw, (3.4, 2.1)), alt)


def _thinned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(steps) <= POINTS:
        return steps, values
    return tuple(np.array([part.mean() for part in np.array_split(a, POINTS)]) for a in (steps, values))  # type: ignore[return-value]


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Centred moving average over a twentieth of the curve; at the ends over what there is."""
    half = len(values) // 40
    kernel = np.ones(2 * half + 1)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones_like(values), kernel, "same")
