"""`write_report`: a run as one self-contained HTML page."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from openmoon.evaluation.metrics import METRICS
from openmoon.io import write_text
from openmoon.report.curves import charts_by_stage, throughput
from openmoon.report.data import ReportData
from openmoon.report.inline import thumbnail
from openmoon.report.tables import colours, glance, headlines, tables

STAGES = {"pretrain": "Stage 1 · pretraining", "posttrain": "Stage 2 · post-training"}


def write_report(run: ReportData, path: Path) -> None:
    """Write the page atomically: no script, and nothing that has to be fetched from elsewhere.

    Pictures that are missing or unreadable become neutral cards; what the run does not have is said to be absent.
    """
    result = run.evaluation
    html = environment().get_template("page.html").render(
        run=run,
        result=result,
        headlines=headlines(result) if result else [],
        glance=glance(result) if result else [],
        tables=tables(result) if result else [],
        colours=colours(result.systems) if result else {},
        metric_names=list(METRICS.values()),
        charts=charts_by_stage(run.metrics),
        throughput=lambda stage: throughput(run.metrics, stage),
        stage_names=STAGES,
        solved=[example for example in run.examples if example.solved],
        unsolved=[example for example in run.examples if not example.solved],
        thumbnail=cache(thumbnail),
        recipe=yaml.safe_dump(dict(run.recipe), sort_keys=False, allow_unicode=True),
    )  # fmt: skip
    write_text(path, html)


def environment() -> Environment:
    """Jinja2 with the templates of this folder; a name that a template misspells is an error."""
    return Environment(
        loader=PackageLoader("openmoon.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
