"""Debiasing where exposure is uniform: no debiasing, inverse propensity weights, and the debiasing network for several α.

    python benchmarks/debias.py recipes/sample-ctr.yaml --alphas 0 0.01 0.1 1

Needs the recipe's vectors and a log whose truth says which lists were shown in random order (`ctr.truth`). There few
impressions are chosen, so beside the observed AUC and PCOC stand the expected ones: every impression counts as chosen with its
true probability.
Writes `<workdir>/debias.json` and `.md`, and models to `<workdir>/debias/`. Runs that are finished are not run again.
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
import json
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.builders.ctr_bench import open_bench
from openmoon.config import Recipe, load_recipe
from openmoon.ctr.evaluate import held_out, load_scores
from openmoon.ctr.log import CtrLog
from openmoon.ctr.metrics import auc, pcoc
from openmoon.ctr.slices import impression_deciles
from openmoon.errors import UserError, one_line
from openmoon.io import write_json, write_text
from openmoon.runtime import machine, versions
from openmoon.steps.ctr import train_models

DECILES = range(1, 11)  # of products by training impressions, 10 most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--alphas", type=float, nargs="+", default=[0.0, 0.01, 0.1, 1.0])
    args = parser.parse_args()
    base = load_recipe(args.recipe, args.overrides)
    assert base.ctr is not None
    if base.ctr.truth is None:
        raise UserError(f"{args.recipe}: no ctr.truth, so nothing says which lists were shown in random order.")
    truth = pl.read_parquet(base.data.root / base.ctr.truth, columns=["uniform", "p_true"])
    arms = {"cube": _arm(args, base, "cube", None), "inverse propensity": _arm(args, base, "cube_ipw", None)}
    arms |= {f"network, α {alpha:g}": _arm(args, base, "cube_debias", alpha) for alpha in args.alphas}
    log = open_bench(base).log
    found = {}
    for name, recipe in arms.items():
        train_models(recipe)
        found[name] = measure(recipe, log, truth)
        write_text(base.workdir / "debias.md", table(found))
    write_json(base.workdir / "debias.json", {"arms": found, "versions": versions(), "machine": machine()})
    print(table(found))


def _arm(args: argparse.Namespace, base: Recipe, model: str, alpha: float | None) -> Recipe:
    """The recipe with one model, in a folder of its own where α is not the recipe's."""
    assert base.ctr is not None
    changes = [f"ctr.models=[{model}]"]
    if alpha is not None:
        vectors = base.ctr.vectors or base.workdir / "vectors.parquet"
        queries = base.ctr.query_vectors or base.workdir / "query_vectors.parquet"
        changes += [f"ctr.debias.alpha={alpha}", f"workdir={base.workdir / 'debias' / f'alpha-{alpha:g}'}",
                    f"ctr.vectors={vectors}", f"ctr.query_vectors={queries}"]  # fmt: skip
    return load_recipe(args.recipe, [*args.overrides, *changes])


def measure(recipe: Recipe, log: CtrLog, truth: pl.DataFrame) -> dict[str, list[float | None]]:
    """Figure → its value under each seed."""
    assert recipe.ctr is not None
    (model,) = recipe.ctr.models
    part = held_out(log, truth)
    uniform = part.slices["exposure"]["uniform"]
    p_true = truth["p_true"].to_numpy()[log.row[part.rows]]
    decile = impression_deciles(log)[log.item[part.rows]]
    found: dict[str, list[float | None]] = {}
    for seed in recipe.ctr.seeds:
        folder = recipe.workdir / "ctr" / f"{model}-seed{seed}"
        scores = load_scores(folder, log, part)
        leakage = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["popularity_leakage"]["v_adjusted"]
        one = {"AUC, whole log": auc(part.labels, scores), "AUC": auc(part.labels[uniform], scores[uniform]),
               "PCOC": pcoc(part.labels[uniform], scores[uniform])}  # fmt: skip
        masks = {"all": uniform, **{f"decile {number}": uniform & (decile == number) for number in DECILES}}
        one |= {f"expected AUC, {name}": expected_auc(p_true[mask], scores[mask]) for name, mask in masks.items()}
        one |= {f"expected PCOC, {name}": float(scores[mask].sum() / p_true[mask].sum()) for name, mask in masks.items()}
        for name, value in {**one, "leakage R²": leakage}.items():
            found.setdefault(name, []).append(value)
    return found


def expected_auc(p: np.ndarray, scores: np.ndarray) -> float:
    """AUC where each row counts as chosen with weight p and as not chosen with weight 1 − p; ties count half."""
    _, tie = np.unique(scores, return_inverse=True)
    chosen, other = np.bincount(tie, weights=p), np.bincount(tie, weights=1 - p)
    below = np.cumsum(other) - other
    return float((chosen * (below + other / 2)).sum() / (chosen.sum() * other.sum()))


def table(found: dict[str, dict[str, list[float | None]]]) -> str:
    """Mean ± standard deviation over the seeds; all but the first row and the last are of the lists in random order."""
    names = list(next(iter(found.values())))
    lines = [f"| | {' | '.join(found)} |\n|---|{'---:|' * len(found)}\n"]
    lines += [f"| {name} | {' | '.join(_cell(figures[name]) for figures in found.values())} |\n" for name in names]
    return "".join(lines)


def _cell(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "undefined"
    return f"{np.mean(known):.3f}" + (f" ± {np.std(known, ddof=1):.3f}" if len(known) > 1 else "")


if __name__ == "__main__":
    with one_line():
        main()
