"""What all plots of the pages share: one look, SVG in a data URI, and the plot in words beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from openmoon.report.inline import data_uri

SOFT, LINE, GRID, BEST = "#6b6f76", "#1f4e8c", "#e6e3dc", "#1a7f4b"
_STYLE: Any = {
    "svg.hashsalt": "openmoon", "font.size": 9, "axes.edgecolor": GRID, "axes.linewidth": 1, "text.parse_math": False,
    "legend.frameon": False, "legend.labelcolor": SOFT,
}  # fmt: skip


@dataclass(frozen=True)
class Chart:
    """A plot as a picture (`uri`) with its `title`, the figure to read off (`note`), and `alt`, the plot in words."""

    title: str
    note: str
    uri: str
    alt: str


def svg(draw: Callable[[Axes], None], size: tuple[float, float], grid: str = "y") -> str:
    """The data URI of what `draw` puts on a figure of `size` inches, with grid lines across the axis `grid`; the same bytes for
    the same plot."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.grid(axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0, labelcolor=SOFT)
        draw(axes)
        out = BytesIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return data_uri(out.getvalue(), "image/svg+xml")
