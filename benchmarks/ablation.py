"""Arms of an ablation over several seeds, in a table shaped like MOON2.0's: recall at 10 in five directions, and photo → picture;
accuracy of classes by their names and of attributes by probes; and the effective rank of the held-out products' vectors as text,
picture and both.

    python benchmarks/ablation.py recipes/ablation/*.yaml --seeds 0 1 2 --against plain
    OPENMOON_BASE=fashion python benchmarks/ablation.py recipes/ablation/{plain,full}.yaml --seeds 0 1 2 --against plain

With --against a second table says how much better each arm is than the one named, in brackets over the pooled standard deviation
of the seeds and, from pairs of runs of one seed, over the standard error of the difference.

Arms that agree on data, dense encoder and stage 1 share it, those that co-augment alike share that, and all share the cache of
tokens: which augmented views of a picture are in it follows from the run that came first. Runs resume, finished ones are not run
again. Results go to `<workdir>-seed<N>` of each arm, and what a table needs of them, a line a run, to runs.jsonl beside them or
to --runs: what a line there says of the same recipe on the same data is not run again either, so a table, which is also written
to table.md beside the arms, can grow over days and machines (remove a line to have it run). Words that contain = change every
arm's recipe; the base that all arms change is recipes/sample.yaml or the one that OPENMOON_BASE names. Arms that were measured on
other queries, products or data are refused.
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from arm_runs import ArmRun, add_run, read_runs, refuse_others, settings_of
from seeded import arm_started_from, data_of, run_all, with_seed

from openmoon.config import load_recipe
from openmoon.errors import one_line
from openmoon.evaluation.results import UNDEFINED
from openmoon.io import write_text

DIRECTIONS = {"t→mm": "text → rich+image", "i→mm": "image → rich+image", "mm→mm": "text+image → rich+image",
              "t→i": "text → image", "i→t": "image → rich", "i→i": "image → image"}  # fmt: skip
VIEWS = {"rich": "t", "image": "i", "rich+image": "mm"}  # of products, and what the table calls them
COLUMNS = (*DIRECTIONS, "classes", "attributes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="+", help="recipes, and key=value changes to all of them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=_count, default=1, help="runs at a time, which share out the cores (and one GPU)")
    parser.add_argument("--metric", default="recall@10")
    parser.add_argument("--against", help="an arm that the others are held against")
    parser.add_argument("--runs", type=Path, help="what runs found, here or elsewhere; default: runs.jsonl beside the arms")
    args = parser.parse_args()
    overrides = [word for word in args.arms if "=" in word]
    recipes = {path.stem: path for word in args.arms if "=" not in word for path in [Path(word)]}
    if len(recipes) + len(overrides) < len(args.arms):
        parser.error("two arms are called the same")
    if args.against and args.against not in recipes:
        parser.error(f"--against {args.against}: no such arm; expected one of {', '.join(recipes)}")
    loaded = {arm: load_recipe(path, overrides) for arm, path in recipes.items()}
    settings = {arm: identity(path, overrides) for arm, path in recipes.items()}
    folder = next(iter(loaded.values())).workdir.parent
    kept: Path = args.runs or folder / "runs.jsonl"
    learnt = {}
    if read_runs(kept):
        by_data = {loaded[arm].data.model_dump_json(): with_seed(path, overrides, args.seeds[0]) for arm, path in recipes.items()}
        learnt = {said: data_of(recipe) for said, recipe in by_data.items()}

    def wanted() -> list[ArmRun]:
        """What is known of these arms on these data, where they are there to be looked at."""
        return [run for run in read_runs(kept) if settings.get(run.arm) == run.settings and run.seed in args.seeds
                and learnt.get(loaded[run.arm].data.model_dump_json()) in (None, run.data)]  # fmt: skip

    def table() -> str:
        """Of what is known, also kept beside the arms."""
        refuse_others(wanted())
        made = tables(wanted(), list(recipes), args.metric, args.against)
        write_text(folder / "table.md", made)
        return made

    refuse_others(wanted())
    done = {(run.arm, run.seed) for run in wanted()}
    todo = {(arm, seed) for arm in recipes for seed in args.seeds} - done
    while more := {(start, seed) for arm, seed in todo if (start := arm_started_from(loaded[arm])) in recipes} - todo:
        todo |= more
    order = [(arm, seed) for seed in args.seeds for arm in recipes if (arm, seed) in todo]
    for (path, _), measured in run_all([(recipes[arm], seed) for arm, seed in order], overrides, args.jobs):
        add_run(kept, ArmRun.of(path.stem, settings[path.stem], measured))
        table()
    print(table())


def identity(path: Path, overrides: list[str]) -> str:
    """`settings_of` the recipe at `path`, and of the arm beside it that it starts from."""
    recipe = load_recipe(path, overrides)
    start = arm_started_from(recipe)
    beside = path.with_name(f"{start}.yaml")
    return settings_of(recipe, identity(beside, overrides) if start and beside.exists() else "")


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runs; expected 1 or more")
    return int(text)


def value(run: ArmRun, column: str, metric: str) -> float | None:
    """A metric of the last stage in one direction, or an accuracy; None where the shop has no such labels."""
    accuracies = {"classes": run.classes, "attributes": run.attributes}
    return accuracies[column] if column in accuracies else run.metrics[DIRECTIONS[column]][metric]


def tables(runs: Sequence[ArmRun], arms: Sequence[str], metric: str, against: str | None) -> str:
    """Mean ± standard deviation of the seeds that are done, and the differences to one arm."""
    done = {arm: found for arm in arms if (found := [run for run in runs if run.arm == arm])}
    rows = []
    for arm, found in done.items():
        spread = [_spread([value(one, name, metric) for one in found]) for name in COLUMNS]
        ranks = [f"{np.mean([one.ranks[view] for one in found]):.0f}" for view in VIEWS]
        rows.append([arm, str(len(found)), *spread, *ranks])
    made = _markdown([metric, "seeds", *COLUMNS, *(f"rank {name}" for name in VIEWS.values())], rows)
    gains = differences(done, metric, against) if against else []
    return made + ("\n" + _markdown([f"{metric} over {against}", "seeds", *COLUMNS], gains) if gains else "")


def _spread(values: list[float | None]) -> str:
    known = [one for one in values if one is not None]
    if not known:
        return UNDEFINED
    return f"{np.mean(known):.3f}" + (f" ± {np.std(known, ddof=1):.3f}" if len(known) > 1 else "")


def differences(done: dict[str, list[ArmRun]], metric: str, against: str) -> list[list[str]]:
    """A row per arm: mean difference (over the pooled deviation; over its standard error) of the seeds that both have, of which
    two are needed."""
    base = {one.seed: one for one in done.get(against, [])}
    rows = []
    for arm, runs in done.items():
        pairs = [(one, base[one.seed]) for one in runs if arm != against and one.seed in base]
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
    with one_line():
        main()
