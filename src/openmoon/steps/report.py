"""`openmoon report`: one HTML page about a run."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from openmoon.builders.held_out import can_evaluate, held_out_items, held_out_queries
from openmoon.builders.systems import scratch_folder
from openmoon.builders.workspace import Workspace, open_workspace
from openmoon.config import Recipe
from openmoon.console import console, plain
from openmoon.evaluation.examples import Example, find_examples
from openmoon.evaluation.results import RetrievalResult
from openmoon.evaluation.retrieval import questions_hash
from openmoon.report.data import ReportData, read_metrics
from openmoon.report.page import write_report
from openmoon.steps.evaluate import compared_systems, fingerprints


def report(recipe: Recipe) -> Path:
    """Write `<workdir>/report.html` from the tables and what the other steps left there; what is not there is said to be
    absent. The stages' encoders are asked again for what comes back for some held-out queries."""
    work = open_workspace(recipe, labels=True)
    result = recipe.workdir / "evaluation.json"
    examples: list[Example] = []
    evaluation = RetrievalResult.load(result) if result.exists() else None
    if can_evaluate(work.shop):
        with scratch_folder(recipe.workdir) as temporary:
            systems, queries, items = compared_systems(work, temporary), held_out_queries(work), held_out_items(work)
            found = (fingerprints(systems), questions_hash(queries, items))
            if evaluation is not None and (evaluation.encoders, evaluation.questions) != found:
                console.print(f"  [yellow]{plain(result)} is left out[/]: it is of other encoders, other queries or an earlier "
                              "version; run `openmoon evaluate` again")  # fmt: skip
                evaluation = None
            examples = find_examples(systems, queries, items, seed=recipe.seed)
    path = recipe.workdir / "report.html"
    write_report(ReportData(
        name=recipe.name, recipe=recipe.model_dump(mode="json"), counts=_counts(work),
        metrics=read_metrics(*(recipe.workdir / stage / "metrics.jsonl" for stage in ("pretrain", "posttrain"))),
        evaluation=evaluation, examples=examples,
    ), path)  # fmt: skip
    return path


def _counts(work: Workspace) -> dict[str, dict[str, int | str]]:
    items = work.items
    counts: dict[str, dict[str, int | str]] = {"Catalogue": {
        "products": items.height, "SPUs": items["spu_id"].n_unique(), "with picture": items["image_key"].count(),
        "with title": items["title"].count(), "rejected rows": work.shop.rejected.height,
    }}  # fmt: skip
    if work.shop.events is not None:
        actions = work.shop.events["action"].value_counts(sort=True)
        counts["Behaviour"] = {"shoppers": work.shop.events["user_id"].n_unique(), **dict(actions.iter_rows())}
    if work.shop.logs_queries:
        counts["Query→item pairs"] = dict(work.pairs["split"].value_counts(sort=True).iter_rows())
    counts["Products by split"] = dict(
        items.select(pl.col("split").value_counts(sort=True)).to_series().struct.unnest().iter_rows()
    )
    return counts
