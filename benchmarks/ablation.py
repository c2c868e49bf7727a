"""Arms of an ablation over several seeds, in a table shaped like MOON2.0's: recall at 10 in five directions.

    python benchmarks/ablation.py recipes/ablation/*.yaml --seeds 0 1 2

Arms that agree on data, dense encoder and stage 1 share it. Runs resume, finished ones are not run again. Results go to
`<workdir>-seed<N>` of each arm, the table to --out (.json and .md). Words that contain = change every arm's recipe.
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
from pathlib import Path

import numpy as np

from openmoon.config import Recipe, load_recipe
from openmoon.evaluation.results import RetrievalResult
from openmoon.io import content_hash, write_json, write_text
from openmoon.runtime import machine, versions
from openmoon.steps.evaluate import evaluate
from openmoon.steps.posttrain import posttrain
from openmoon.steps.pretrain import pretrain

DIRECTIONS = {"t→mm": ("text", "rich+image"), "i→mm": ("image", "rich+image"), "mm→mm": ("text+image", "rich+image"),
              "t→i": ("text", "image"), "i→t": ("image", "rich")}  # fmt: skip
STAGE = "stage 2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="+", help="recipes, and key=value changes to all of them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--metric", default="recall@10")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation/table"))
    args = parser.parse_args()
    overrides = [word for word in args.arms if "=" in word]
    recipes = [Path(word) for word in args.arms if "=" not in word]
    found: dict[str, list[RetrievalResult]] = {path.stem: [] for path in recipes}
    for seed in args.seeds:
        for path in recipes:
            found[path.stem].append(run(path, overrides, seed))
            write_text(args.out.with_suffix(".md"), table(found, args.metric))
    values = {arm: {name: [value(one, name, args.metric) for one in results] for name in DIRECTIONS}
              for arm, results in found.items()}  # fmt: skip
    write_json(args.out.with_suffix(".json"), {"metric": args.metric, "seeds": args.seeds, "arms": values,
                                               "versions": versions(), "machine": machine()})  # fmt: skip
    print(table(found, args.metric))


def run(path: Path, overrides: list[str], seed: int) -> RetrievalResult:
    """One arm with one seed; stage 1 is taken from a run that shares it."""
    base = load_recipe(path, overrides)
    folder = base.workdir.with_name(f"{base.workdir.name}-seed{seed}")
    cache = base.data.cache or base.workdir.parent / "cache"
    recipe = load_recipe(path, [*overrides, f"seed={seed}", f"workdir={folder}", f"data.cache={cache}"])
    done = folder / "evaluation.json"
    if done.exists() and (result := RetrievalResult.load(done)).recipe == recipe.model_dump(mode="json"):
        return result
    folder.mkdir(parents=True, exist_ok=True)
    if recipe.pretrain:
        share_stage_1(recipe)
    if recipe.posttrain:
        posttrain(recipe)
    return evaluate(recipe)


def share_stage_1(recipe: Recipe) -> None:
    """Train stage 1 where its recipe has its own place, and link it into the arm's workdir."""
    parts = (recipe.data, recipe.encoder.dense(), recipe.pretrain)
    name = content_hash(str(recipe.seed), *(part.model_dump_json() for part in parts if part))[:12]
    shared = recipe.workdir.parent / f"stage-1-{name}"
    if not (shared / "pretrain" / "summary.json").exists():
        pretrain(recipe.model_copy(update={"workdir": shared, "encoder": recipe.encoder.dense()}))
    link = recipe.workdir / "pretrain"
    if not link.is_symlink():
        link.symlink_to((shared / "pretrain").resolve())


def value(result: RetrievalResult, direction: str, metric: str) -> float:
    """A metric of the last stage in one direction."""
    metrics = result.cell(*DIRECTIONS[direction]).metrics[STAGE]
    assert metrics is not None, "a trained encoder compares everything"
    return metrics[metric]


def table(found: dict[str, list[RetrievalResult]], metric: str) -> str:
    """Mean ± standard deviation of the seeds that are done."""
    head = f"| {metric} | seeds | " + " | ".join(DIRECTIONS) + " |\n|---|---:|" + "---:|" * len(DIRECTIONS) + "\n"
    lines = []
    for arm, results in found.items():
        cells = [[value(one, name, metric) for one in results] for name in DIRECTIONS]
        spread = [f"{np.mean(v):.3f} ± {np.std(v, ddof=1):.3f}" if len(v) > 1 else f"{np.mean(v):.3f}" for v in cells if v]
        lines.append(f"| {arm} | {len(results)} | " + " | ".join(spread) + " |\n")
    return head + "".join(lines)


if __name__ == "__main__":
    main()
