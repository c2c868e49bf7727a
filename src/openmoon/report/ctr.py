"""`write_ctr_page`: what vectors are worth, and everything measured about it, as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from openmoon.ctr.results import CtrResult
from openmoon.ctr.slices import NEW_PRODUCTS, UNKNOWN_PRODUCTS
from openmoon.io import write_text
from openmoon.report.ctr_headline import GAIN_UNDEFINED, content_models, headline, models, some_undefined
from openmoon.report.ctr_plots import calibration_chart, decile_chart, gain_chart, looks, prefix_chart
from openmoon.report.ctr_tables import (
    DECILES,
    METRICS,
    content_passes,
    gains,
    head_and_tail,
    leakage,
    overall,
    slice_kinds,
    slice_table,
)
from openmoon.report.page import environment

KINDS = {
    "product": ("New products", "New: shown within a day of coming into the catalogue. Unknown: too rare in training for an id."),
    "exposure": ("How the list was ordered", "Uniform: in random order, so that the place on the page says nothing."),
    "query": ("What was asked", ""),
    "behaviours": ("Behaviours before the request", "How many the log has; models see the latest of them."),
    "category": ("Category", "Those with the most test impressions."),
}  # kind of slice: title, explanation
_NARROW = 6  # columns up to which two tables are side by side


def write_ctr_page(result: CtrResult, path: Path) -> None:
    """Write the page atomically: no script, and nothing that has to be fetched from elsewhere.

    What the result does not have, such as a reference to measure gains against, is said to be absent.
    """
    html = environment().get_template("ctr.html").render(
        result=result,
        name=result.recipe.get("name", "CTR models"),
        config=result.recipe.get("ctr") or {},
        headline=headline(result),
        trained=len(models(result)),
        with_vectors=len(content_models(result)),
        colours={name: look.colour for name, look in looks(result).items()},
        overall=overall(result),
        gain_charts=_gain_charts(result),
        gains=gains(result),
        calibration=calibration_chart(result),
        exposure=[chart for metric in ("auc", "pcoc") if (chart := decile_chart(result, metric))],
        head_and_tail=head_and_tail(result),
        deciles=[slice_table(result, DECILES, metric) for metric in ("auc", "pcoc")],
        slices=[_slices(result, kind) for kind in slice_kinds(result)],
        leakage=leakage(result),
        content_passes=content_passes(result),
        codes=_codes(result),
        recipe=yaml.safe_dump(result.recipe, sort_keys=False, allow_unicode=True),
    )  # fmt: skip
    write_text(path, html)


def _gain_charts(result: CtrResult) -> list[dict[str, Any]]:
    """The plots, or why one is missing; nothing where there is nothing to compare."""
    if result.reference is None or len(models(result)) < 2:
        return []
    return [
        {"title": "All products", "chart": gain_chart(result, "All products", lambda one: one.gain), "why": GAIN_UNDEFINED},
        {"title": "New products", "chart": gain_chart(result, "New products", lambda one: one.new_gain),
         "why": some_undefined(result, NEW_PRODUCTS)},
        {"title": "Products unknown to training", "why": some_undefined(result, UNKNOWN_PRODUCTS),
         "chart": gain_chart(result, "Products unknown to training", lambda one: one.unknown_gain)},
    ]  # fmt: skip


def _slices(result: CtrResult, kind: str) -> dict[str, Any]:
    title, note = KINDS.get(kind, (kind, ""))
    tables = [slice_table(result, kind, metric) for metric in METRICS]
    shown = 2 if len(tables[0].heads) <= _NARROW else 1
    return {"title": title, "note": note, "narrow": shown > 1, "shown": tables[:shown], "folded": tables[shown:]}


def _codes(result: CtrResult) -> list[dict[str, Any]]:
    return [
        {"name": name, **codes, "chart": prefix_chart(name, codes["prefix_cosine"])}
        for name, system in result.systems.items()
        if (codes := system.facts.get("codes"))
    ]
