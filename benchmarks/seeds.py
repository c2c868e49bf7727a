"""A recipe over several seeds: mean ± standard deviation of every direction and system.

    python benchmarks/seeds.py recipes/sample.yaml --seeds 0 1 2 --expected recipes/expected/sample.json

The seed decides weights, batches and which augmented views are drawn; data, split and cached tokens are shared. Runs resume;
results go to `<workdir>-seed<N>` and the table to `<workdir>-seeds.json` and `.md`.
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
from pathlib import Path

import numpy as np
from seeded import run

from openmoon.config import load_recipe
from openmoon.errors import one_line
from openmoon.evaluation.expected import Expected
from openmoon.evaluation.results import RetrievalResult
from openmoon.io import write_json, write_text

METRICS = {"recall@1": "R@1", "recall@10": "R@10", "mrr": "MRR"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--expected", type=Path, help="also write mean ± tolerance here, for benchmarks/expected.py")
    args = parser.parse_args()
    base = load_recipe(args.recipe, args.overrides)
    results = [run(args.recipe, args.overrides, seed) for seed in args.seeds]
    table = summarise(results)
    stem = base.workdir.with_name(f"{base.workdir.name}-seeds")
    first = results[0]
    write_json(stem.with_suffix(".json"), {"seeds": args.seeds, "versions": first.versions, "machine": first.machine,
                                           "data_hash": first.data_hash, "recipe": first.recipe, "rows": table})  # fmt: skip
    text = markdown(table, results[0].systems)
    write_text(stem.with_suffix(".md"), text)
    print(text)
    if args.expected:
        Expected.of(results).save(args.expected)


def summarise(results: list[RetrievalResult]) -> list[dict[str, object]]:
    """One row per direction, metric and system with the values of all seeds."""
    rows: list[dict[str, object]] = []
    for cell in results[0].cells:
        same = [result.cell(cell.query, cell.item) for result in results]
        for metric in METRICS:
            for system in results[0].systems:
                found = [one.metrics[system] for one in same]
                values = [metrics[metric] for metrics in found if metrics is not None]
                if values:
                    rows.append({"direction": cell.name, "pool": cell.pool, "queries": cell.queries, "metric": metric,
                                 "system": system, "values": values, "mean": float(np.mean(values)),
                                 "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0})  # fmt: skip
    return rows


def markdown(rows: list[dict[str, object]], systems: list[str]) -> str:
    """Systems side by side; the spread is that of the seeds, 0 where nothing is trained."""
    lines = [
        "| query → item | pool | queries | metric | " + " | ".join(systems) + " |",
        "|---|---:|---:|---|" + "---:|" * len(systems),
    ]
    for direction in dict.fromkeys(row["direction"] for row in rows):
        for metric, name in METRICS.items():
            here = {row["system"]: row for row in rows if row["direction"] == direction and row["metric"] == metric}
            first = next(iter(here.values()))
            cells = [f"{here[s]['mean']:.3f} ± {here[s]['std']:.3f}" if s in here else "—" for s in systems]
            lines.append(
                f"| {direction} | {first['pool']:,} | {first['queries']:,} | {name} | " + " | ".join(cells) + " |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with one_line():
        main()
