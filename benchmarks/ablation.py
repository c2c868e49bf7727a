"""Arms of an ablation over several seeds, in a table shaped like MOON2.0's: recall at 10 in five directions, and photo → picture;
and the effective rank of the held-out products' vectors as text, picture and both.

    python benchmarks/ablation.py recipes/ablation/*.yaml --seeds 0 1 2
    OPENMOON_BASE=fashion python benchmarks/ablation.py recipes/ablation/{plain,full}.yaml --seeds 0 1 2

Arms that agree on data, dense encoder and stage 1 share it, and all share the cache of tokens: which augmented views of a picture
are in it follows from the run that came first. Runs resume, finished ones are not run again. Results go to
`<workdir>-seed<N>` of each arm, the table beside them (.json and .md). Words that contain = change every arm's recipe; the base
that all arms change is recipes/sample.yaml or the one that OPENMOON_BASE names. Arms that were measured on other queries,
products or data are refused.
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
import sys
from pathlib import Path

import numpy as np
from seeded import run_all

from openmoon.config import load_recipe
from openmoon.device import compute_device, device_name
from openmoon.evaluation.results import RetrievalResult
from openmoon.io import write_json, write_text
from openmoon.runtime import machine, versions

DIRECTIONS = {"t→mm": ("text", "rich+image"), "i→mm": ("image", "rich+image"), "mm→mm": ("text+image", "rich+image"),
              "t→i": ("text", "image"), "i→t": ("image", "rich"), "i→i": ("image", "image")}  # fmt: skip
VIEWS = {"rich": "t", "image": "i", "rich+image": "mm"}  # of products, and what the table calls them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="+", help="recipes, and key=value changes to all of them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=_count, default=1, help="runs at a time, which share out the cores (and one GPU)")
    parser.add_argument("--metric", default="recall@10")
    parser.add_argument("--out", type=Path, help="default: table beside the arms' workdirs")
    args = parser.parse_args()
    overrides = [word for word in args.arms if "=" in word]
    recipes = [Path(word) for word in args.arms if "=" not in word]
    out: Path = args.out or load_recipe(recipes[0], overrides).workdir.parent / "table"
    found: dict[str, list[RetrievalResult]] = {path.stem: [] for path in recipes}
    for path, result in run_all(recipes, overrides, args.seeds, args.jobs):
        found[path.stem].append(result)
        refuse_others(found)
        write_text(out.with_suffix(".md"), table(found, args.metric))
        write_json(out.with_suffix(".json"), record(found, args.metric))
    print(table(found, args.metric))


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runs; expected 1 or more")
    return int(text)


def value(result: RetrievalResult, direction: str, metric: str) -> float:
    """A metric of the last stage in one direction."""
    metrics = result.cell(*DIRECTIONS[direction]).metrics[result.systems[-1]]
    assert metrics is not None, "a trained encoder compares everything"
    return metrics[metric]


def rank(result: RetrievalResult, view: str) -> float:
    """The effective rank of the last stage's vectors of the held-out products."""
    return result.effective_ranks[result.systems[-1]][view]


def record(found: dict[str, list[RetrievalResult]], metric: str) -> dict[str, object]:
    """What the table was made from: per arm, the seeds that are done and their values in the same order."""
    arms = {
        arm: {"seeds": [one.seed for one in results], "recipe": results[0].recipe, "data_hash": results[0].data_hash}
        | {name: [value(one, name, metric) for one in results] for name in DIRECTIONS}
        | {f"rank {name}": [rank(one, view) for one in results] for view, name in VIEWS.items()}
        for arm, results in found.items()
        if results
    }
    where = machine() | {"device": device_name(compute_device())}
    return {"metric": metric, "arms": arms, "versions": versions(), "machine": where}


def refuse_others(found: dict[str, list[RetrievalResult]]) -> None:
    """Exit where arms of one seed were not measured on the same queries and products, learnt from the same data."""
    measured: dict[int, dict[tuple[object, ...], str]] = {}
    for arm, results in found.items():
        for one in results:
            what = (one.data_hash, *((cell.name, cell.pool, cell.queries, cell.pairs) for cell in one.cells))
            measured.setdefault(one.seed, {})[what] = arm
    for seed, arms in measured.items():
        if len(arms) > 1:
            sys.exit(f"seed {seed}: not measured on the same queries, products and data: {' and '.join(arms.values())}")


def table(found: dict[str, list[RetrievalResult]], metric: str) -> str:
    """Mean ± standard deviation of the seeds that are done."""
    heads = [*DIRECTIONS, *(f"rank {name}" for name in VIEWS.values())]
    head = f"| {metric} | seeds | " + " | ".join(heads) + " |\n|---|---:|" + "---:|" * len(heads)
    lines = []
    for arm, results in found.items():
        cells = [[value(one, name, metric) for one in results] for name in DIRECTIONS]
        spread = [f"{np.mean(v):.3f} ± {np.std(v, ddof=1):.3f}" if len(v) > 1 else f"{np.mean(v):.3f}" for v in cells if v]
        ranks = [f"{np.mean([rank(one, view) for one in results]):.0f}" for view in VIEWS if results]
        lines.append(f"\n| {arm} | {len(results)} | " + " | ".join([*spread, *ranks]) + " |")
    return head + "".join(lines) + "\n"


if __name__ == "__main__":
    main()
