"""CTR results as plots: gains with intervals, calibration, exposure, and how near products with shared codes are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from openmoon.ctr.build import uses_vectors
from openmoon.ctr.results import UNDEFINED, CtrResult, Gain, Slice, System
from openmoon.report.ctr_headline import best_content_model, between, models, signed
from openmoon.report.ctr_tables import DECILES, METRICS
from openmoon.report.plots import LINE, SOFT, Chart, svg

_BASELINES = ("#b3aea3", "#c9a465", "#d9c7a0")
_CYCLE = ("#1f4e8c", "#c2573a", "#1a7f4b", "#8a5aa8", "#d39b1e", "#2f9ea8", "#b4487c", "#7a8a2a", "#5b87b8", "#7d5a3c")
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
_ID = "#8d9097"
_CURVES = 6  # calibration curves in one plot at most
_DECADES = 20  # from the smallest to the largest rate, from which on calibration is drawn on logarithmic axes


@dataclass(frozen=True)
class Look:
    """How a system is drawn wherever it is."""

    colour: str
    dash: object


def looks(result: CtrResult) -> dict[str, Look]:
    """Sand and grey for baselines, black for the reference, a colour and then a dash for the others."""
    trained = [name for name in models(result) if name != result.reference]
    found = {name: Look(colour, dash) for name, (dash, colour) in zip(trained, product(_DASHES, _CYCLE), strict=False)}
    if result.reference:
        found[result.reference] = Look("#1f2328", "-")
    rest = [name for name in result.systems if name not in found]
    return found | {name: Look(_BASELINES[n % len(_BASELINES)], "-") for n, name in enumerate(rest)}


def gain_chart(result: CtrResult, title: str, gain_of: Callable[[System], Gain | None]) -> Chart | None:
    """Gains over the reference with their intervals, the largest first; None where no model has one."""
    known = {name: gain for name, system in result.systems.items() if (gain := gain_of(system))}
    order = sorted(known, key=lambda name: known[name].gauc)
    if not order:
        return None

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=SOFT, linewidth=1)
        for place, name in enumerate(order):
            gain, colour = known[name], LINE if uses_vectors(name) else _ID
            axes.plot([gain.low, gain.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
            axes.plot(gain.gauc, place, "o", color=colour, markersize=6)
        axes.set_yticks(range(len(order)), order)
        axes.set_ylim(-0.6, len(order) - 0.4)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel(f"gain in GAUC over {result.reference}", color=SOFT)

    first = order[-1]
    words = "; ".join(f"{name} {signed(known[name].gauc)} {between(known[name])}" for name in reversed(order))
    uri = svg(draw, (5.2, 0.8 + 0.3 * len(order)), grid="x")
    return Chart(title, f"largest {signed(known[first].gauc)}, {first}", uri, f"{title}, 95% intervals: {words}")


def calibration_chart(result: CtrResult) -> Chart | None:
    """Predicted against observed rates of a handful of systems: the reference, and models in the order of their GAUC."""
    chosen = _handful(result)
    if not chosen:
        return None
    curves = {name: _curve(result.systems[name]) for name in chosen}
    rates = np.concatenate([np.concatenate(curve) for curve in curves.values()])
    above = rates[rates > 0]
    log = len(above) > 0 and above.max() / above.min() >= _DECADES
    errors = {name: (result.systems[name].calibration or {})["error"] for name in chosen}

    def draw(axes: Axes) -> None:
        low, high = (above.min(), above.max()) if log else (0.0, max(rates.max(), 1e-6))
        axes.plot([low, high], [low, high], color=SOFT, linewidth=1, linestyle=(0, (2, 2)), label="calibrated")
        for name, (predicted, observed) in curves.items():
            seen = (predicted > 0) & (observed > 0) if log else np.ones(len(predicted), bool)
            look = looks(result)[name]
            axes.plot(predicted[seen], observed[seen], color=look.colour, linestyle=look.dash, linewidth=1.5, marker="o",
                      markersize=3, label=f"{name}, ECE {errors[name]:.4f}")  # fmt: skip
        for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
            if log:
                scale("log")
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda rate, _: f"{100 * rate:.6g}%"))
        axes.set_xlabel("predicted", color=SOFT)
        axes.set_ylabel("observed share chosen", color=SOFT)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))

    scale = "logarithmic axes" if log else "linear axes"
    dropped = f", bins with nothing chosen left out: {int((rates == 0).sum())}" if log and (rates == 0).any() else ""
    words = "; ".join(f"{name} {error:.4f}" for name, error in errors.items())
    return Chart("Calibration", f"{scale}{dropped}", svg(draw, (9.4, 4.2)), f"Calibration curves; ECE: {words}")


def decile_chart(result: CtrResult, metric: str) -> Chart | None:
    """A metric by decile of training impressions, a line per system; None where no decile has it."""
    parts = dict.fromkeys(part for system in result.systems.values() for part in system.slices.get(DECILES, {}))
    lines = {name: [_figure(system.slices.get(DECILES, {}).get(part), metric) for part in parts]
             for name, system in result.systems.items()}  # fmt: skip
    lines = {name: values for name, values in lines.items() if any(value is not None for value in values)}
    if not lines:
        return None
    places = [int(part.split()[-1]) for part in parts]

    def draw(axes: Axes) -> None:
        if metric == "pcoc":
            axes.axhline(1, color=SOFT, linewidth=1, linestyle=(0, (2, 2)))
        for name, values in lines.items():
            look = looks(result)[name]
            heights = [np.nan if value is None else value for value in values]
            axes.plot(places, heights, color=look.colour, linestyle=look.dash, linewidth=1.5, marker="o", markersize=3,
                      label=name)  # fmt: skip
        axes.set_xticks(places)
        axes.set_xlabel("decile of training impressions, 10 shown most", color=SOFT)
        axes.set_ylabel(METRICS[metric], color=SOFT)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)

    size = (5.2, 3.4 + 0.17 * -(-len(lines) // 3))
    title = f"{METRICS[metric]} by exposure"
    words = "; ".join(f"{name} {_ends(values)}" for name, values in lines.items())
    return Chart(title, "least to most shown", svg(draw, size), f"{title}, first to last decile: {words}")


def prefix_chart(name: str, curve: Sequence[float | None]) -> Chart | None:
    """Mean cosine of two products by how many first codes they share; None where no pair was measured."""
    known = [(shared, value) for shared, value in enumerate(curve) if value is not None]
    if not known:
        return None

    def draw(axes: Axes) -> None:
        axes.plot(*zip(*known, strict=True), color=LINE, linewidth=1.8, marker="o", markersize=4)
        axes.set_xticks(range(len(curve)))
        axes.margins(y=0.12)
        axes.set_xlabel("first codes that two products share, and no more", color=SOFT)
        axes.set_ylabel("mean cosine", color=SOFT)

    words = ", ".join(f"{shared} shared {UNDEFINED if value is None else f'{value:.3f}'}" for shared, value in enumerate(curve))
    return Chart("Nearness by shared codes", name, svg(draw, (5.2, 2.6)), f"Mean cosine of products, {name}: {words}")


def _handful(result: CtrResult) -> list[str]:
    """The reference, the best model with vectors, then the highest GAUCs."""
    trained = models(result) or result.systems
    order = sorted(trained, key=lambda name: -(trained[name].mean("gauc") or 0.0))
    wanted = [name for name in (result.reference, best_content_model(result)) if name]
    names = list(dict.fromkeys([*wanted, *order]))
    return [name for name in names if result.systems[name].calibration][:_CURVES]


def _curve(system: System) -> tuple[np.ndarray, np.ndarray]:
    curve = system.calibration or {}
    return np.array(curve["predicted"], float), np.array(curve["observed"], float)


def _figure(part: Slice | None, metric: str) -> float | None:
    return None if part is None else getattr(part.figures, metric)


def _ends(values: Sequence[float | None]) -> str:
    return " to ".join(UNDEFINED if value is None else f"{value:.3f}" for value in (values[0], values[-1]))
