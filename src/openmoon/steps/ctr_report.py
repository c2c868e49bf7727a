"""`openmoon ctr report`: one HTML page about a recipe's CTR models."""

from __future__ import annotations

from pathlib import Path

from openmoon.config import Recipe
from openmoon.ctr.results import CtrResult
from openmoon.report.ctr import write_ctr_page


def ctr_report(recipe: Recipe) -> Path:
    """Write `<workdir>/ctr/report.html` from `evaluation.json` beside it, and from nothing else."""
    folder = recipe.workdir / "ctr"
    write_ctr_page(CtrResult.load(folder / "evaluation.json"), folder / "report.html")
    return folder / "report.html"
