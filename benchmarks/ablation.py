"""Arms of an ablation over several seeds, in a table shaped like MOON2.0's: recall at 10 in five directions, and photo → picture;
accuracy of classes by their names and of attributes by probes; and the effective rank of the held-out products' vectors as text,
picture and both.

    python benchmarks/ablation.py recipes/ablation/*.yaml --seeds 0 1 2 --against plain
    OPENMOON_BASE=fashion python benchmarks/ablation.py recipes/ablation/{plain,full}.yaml --seeds 0 1 2 --against plain

With --against a second table says how much better each arm is than the one named, in brackets over the pooled standard deviation
of the seeds and, from pairs of runs of one seed, over the standard error of the difference.

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
from seeded import Measured, run_all

from openmoon.config import load_recipe
from openmoon.device import compute_device, device_name
from openmoon.evaluation.results import UNDEFINED
from openmoon.io import write_json, write_text
from openmoon.runtime import machine, versions

DIRECTIONS = {"t→mm": ("text", "rich+image"), "i→mm": ("image", "rich+image"), "mm→mm": ("text+image", "rich+image"),
              "t→i": ("text", "image"), "i→t": ("image", "rich"), "i→i": ("image", "image")}  # fmt: skip
VIEWS = {"rich": "t", "image": "i", "rich+image": "mm"}  # of products, and what the table calls them
COLUMNS = (*DIRECTIONS, "classes", "attributes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="+", help="recipes, and key=value changes to all of them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=_count, default=1, help="runs at a time, which share out the cores (and one GPU)")
    parser.add_argument("--metric", default="recall@10")
    parser.add_argument("--against", help="an arm that the others are held against")
    parser.add_argument("--out", type=Path, help="default: table beside the arms' workdirs")
    args = parser.parse_args()
    overrides = [word for word in args.arms if "=" in word]
    recipes = [Path(word) for word in args.arms if "=" not in word]
    found: dict[str, list[Measured]] = {path.stem: [] for path in recipes}
    if args.against and args.against not in found:
        parser.error(f"--against {args.against}: no such arm; expected one of {', '.join(found)}")
    out: Path = args.out or load_recipe(recipes[0], overrides).workdir.parent / "table"
    for path, measured in run_all(recipes, overrides, args.seeds, args.jobs):
        found[path.stem].append(measured)
        refuse_others(found)
        write_text(out.with_suffix(".md"), tables(found, args.metric, args.against))
        write_json(out.with_suffix(".json"), record(found, args.metric))
    print(tables(found, args.metric, args.against))


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runs; expected 1 or more")
    return int(text)


def value(measured: Measured, column: str, metric: str) -> float | None:
    """A metric of the last stage in one direction, or an accuracy; None where the shop has no such labels."""
    if column not in DIRECTIONS:
        accuracy: float | None = getattr(measured.labels, column)
        return accuracy
    result = measured.result
    metrics = result.cell(*DIRECTIONS[column]).metrics[result.systems[-1]]
    assert metrics is not None, "a trained encoder compares everything"
    return metrics[metric]


def rank(measured: Measured, view: str) -> float:
    """The effective rank of the last stage's vectors of the held-out products."""
    return measured.result.effective_ranks[measured.result.systems[-1]][view]


def record(found: dict[str, list[Measured]], metric: str) -> dict[str, object]:
    """What the table was made from: per arm, the seeds that are done and their values in the same order."""
    arms = {
        arm: {"seeds": [one.result.seed for one in runs], "recipe": runs[0].result.recipe, "data_hash": runs[0].result.data_hash}
        | {name: [value(one, name, metric) for one in runs] for name in COLUMNS}
        | {f"rank {name}": [rank(one, view) for one in runs] for view, name in VIEWS.items()}
        | {"machines": [one.result.machine for one in runs]}
        for arm, runs in found.items()
        if runs
    }
    where = machine() | {"device": device_name(compute_device())}
    return {"metric": metric, "arms": arms, "versions": versions(), "machine": where}


def refuse_others(found: dict[str, list[Measured]]) -> None:
    """Exit where arms of one seed were not measured on the same queries and products, learnt from the same data."""
    measured: dict[int, dict[tuple[object, ...], str]] = {}
    for arm, runs in found.items():
        for result in (one.result for one in runs):
            what = (result.data_hash, *((cell.name, cell.pool, cell.queries, cell.pairs) for cell in result.cells))
            measured.setdefault(result.seed, {})[what] = arm
    for seed, arms in measured.items():
        if len(arms) > 1:
            sys.exit(f"seed {seed}: not measured on the same queries, products and data: {' and '.join(arms.values())}")


def tables(found: dict[str, list[Measured]], metric: str, against: str | None) -> str:
    """Mean ± standard deviation of the seeds that are done, and the differences to one arm."""
    done = {arm: runs for arm, runs in found.items() if runs}
    rows = []
    for arm, runs in done.items():
        spread = [_spread([value(one, name, metric) for one in runs]) for name in COLUMNS]
        ranks = [f"{np.mean([rank(one, view) for one in runs]):.0f}" for view in VIEWS]
        rows.append([arm, str(len(runs)), *spread, *ranks])
    made = _markdown([metric, "seeds", *COLUMNS, *(f"rank {name}" for name in VIEWS.values())], rows)
    gains = differences(done, metric, against) if against else []
    return made + ("\n" + _markdown([f"{metric} over {against}", "seeds", *COLUMNS], gains) if gains else "")


def _spread(values: list[float | None]) -> str:
    known = [one for one in values if one is not None]
    if not known:
        return UNDEFINED
    return f"{np.mean(known):.3f}" + (f" ± {np.std(known, ddof=1):.3f}" if len(known) > 1 else "")


def differences(done: dict[str, list[Measured]], metric: str, against: str) -> list[list[str]]:
    """A row per arm: mean difference (over the pooled deviation; over its standard error) of the seeds that both have, of which
    two are needed."""
    base = {one.result.seed: one for one in done.get(against, [])}
    rows = []
    for arm, runs in done.items():
        pairs = [(one, base[one.result.seed]) for one in runs if arm != against and one.result.seed in base]
        if len(pairs) > 1:
            cells = [[[value(one, name, metric) for one in pair] for pair in pairs] for name in COLUMNS]
            rows.append([arm, str(len(pairs)), *(_difference(cell) for cell in cells)])
    return rows


def _difference(pairs: list[list[float | None]]) -> str:
    """Of an arm and of the one that it is held against, seed by seed."""
    if any(one is None for pair in pairs for one in pair):
        return UNDEFINED
    values = np.array(pairs, np.float64)
    gain = values[:, 0] - values[:, 1]
    pooled, error = np.sqrt(values.var(0, ddof=1).mean()), gain.std(ddof=1) / np.sqrt(len(gain))
    over = [f"{abs(gain.mean()) / spread:.1f}" if spread > 0 else UNDEFINED for spread in (pooled, error)]
    return f"{gain.mean():+.3f} ({over[0]}; {over[1]})"


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


if __name__ == "__main__":
    main()
