"""Training DIN against FuxiCTR's DIN: rows a second, peak memory and AUC on the same rows, on one machine in one run.

    OPENMOON_SHOP=shop python benchmarks/ctr.py --peer-python peer/bin/python

Rows are the impressions of a recipe's training part, as `openmoon ctr train` reads them. Both sides have the same fields (user,
the item's id and category, the same two of every behaviour), widths, batch size, epochs, rate, Adam and malloc settings, one
thread, and a process for each training. openmoon is measured with the candidates of a request together, as it trains, and with
every row as a request of its own: the first is what it gains by sharing behaviours, the second what is gained without that.
FuxiCTR has Dice in its attention, its default, or ReLU, as openmoon has. Its rows lie in memory with their behaviours, so that
feeding them costs it least. Last, openmoon row by row from the weights that FuxiCTR with ReLU starts from, in its order of
rows: whether two seeds of one model differ or two models do. Sides take turns, seed after seed; ratios are of medians.
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuxictr_din import memory
from torch import nn

from openmoon.builders.ctr_bench import open_bench
from openmoon.config import load_recipe
from openmoon.config.ctr import CtrConfig
from openmoon.ctr.batches import Batch, Batches
from openmoon.ctr.blocks.attention import LocalActivation
from openmoon.ctr.blocks.tower import Tower
from openmoon.ctr.fit import predict, train_step
from openmoon.ctr.log import CtrLog
from openmoon.ctr.metrics import auc
from openmoon.ctr.scene import Embeddings
from openmoon.errors import one_line
from openmoon.io import write_json
from openmoon.runtime import machine, versions

SIDES = {
    "openmoon, requests together": "requests",
    "openmoon, row by row": "rows",
    "FuxiCTR, Dice": "Dice",
    "FuxiCTR, ReLU": "ReLU",
    "openmoon, from FuxiCTR's start": "start",
}
MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_TOP_PAD_": str(64 << 20)}
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/sample-ctr.yaml"))
    parser.add_argument("--peer-python", type=Path, default=Path(sys.executable), help="interpreter that has fuxictr")
    parser.add_argument("--batch", type=int, help="impressions of a batch (default: the recipe's)")
    parser.add_argument("--epochs", type=int, help="passes (default: the recipe's)")
    parser.add_argument("--lr", type=float, help="Adam's rate (default: the recipe's)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", choices=SIDES.values(), default=list(SIDES.values()))
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/ctr.json"))
    parser.add_argument("--one", nargs=3, metavar=("SIDE", "FOLDER", "OPTIONS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if "start" in args.sides and "ReLU" not in args.sides:
        parser.error("--sides: start goes on from what ReLU starts from; name both")
    if args.one:
        side, folder, options = args.one
        print(json.dumps(train_din(side, Path(folder), json.loads(options))))
        return
    bench = open_bench(load_recipe(args.recipe, ["ctr.models=[din]"]))
    config, log = bench.config, bench.log
    options = {"batch": args.batch or config.batch_size, "epochs": args.epochs or config.epochs, "lr": args.lr or config.lr,
               "dim": config.dim, "attention": config.attention, "hidden": config.hidden, "length": config.length}  # fmt: skip
    found: dict[str, list[dict[str, Any]]] = {name: [] for name, side in SIDES.items() if side in args.sides}
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder), log, config)
        for seed in range(args.seeds):
            for name, rounds in found.items():
                rounds.append(child(SIDES[name], folder, {**options, "seed": seed}, args.peer_python))
                print(f"seed {seed}, {name}: {rounds[-1]['rows_per_cpu_s']:,.0f} rows/CPU s", file=sys.stderr, flush=True)
    summaries = {name: summary(rounds) for name, rounds in found.items()}
    print_table(summaries)
    rows = len(log.candidates(log.requests("train")))
    write_json(args.out, {"options": options, "training_rows": rows, "sides": summaries, "trainings": found,
                          "versions": versions(), "machine": machine()})  # fmt: skip


def write_rows(folder: Path, log: CtrLog, config: CtrConfig) -> None:
    """The log for openmoon (with requests, and with every row a request), and the same rows as arrays for the peer."""
    each = log.request_of(np.arange(len(log.item)))
    alone = replace(log, **{name: getattr(log, name)[each] for name in ("user", "shopper", "query", "seconds", "split", "start",
                                                                        "end")}, first=np.arange(len(each) + 1))  # fmt: skip
    for name, kept in (("requests", log), ("rows", alone)):
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(kept))
    numbers, sizes = log.vocabulary.of_entities(log.entities), log.vocabulary.sizes()
    arrays = {"n_user": np.array(sizes["user"]), "n_item": np.array(sizes["id"]), "n_category": np.array(sizes["category"])}
    for side in ("train", "test"):
        rows = log.candidates(log.requests(side))
        back = 1 + np.arange(config.length)
        past = log.end[each[rows], None] - back
        behaviours = np.where(past >= log.start[each[rows], None], log.histories.entity[np.maximum(past, 0)], 0)
        columns = {"user": log.user[each[rows]], "label": log.label[rows]}
        for field, name in (("id", "item"), ("category", "category")):
            columns |= {name: numbers[field][log.item[rows]], f"hist_{name}": numbers[field][behaviours]}
        arrays |= {f"{side}_{name}": column for name, column in columns.items()}
    np.savez(folder / "rows.npz", allow_pickle=False, **arrays)


def child(side: str, folder: str, options: dict[str, Any], peer: Path) -> dict[str, Any]:
    """One training in a fresh process: its figures, with the AUC of the test rows."""
    command: list[str | Path] = [sys.executable, __file__, "--one", side, folder, json.dumps(options)]
    if side in ("Dice", "ReLU"):
        script = Path(__file__).with_name("fuxictr_din.py")
        command = [peer, script, f"{folder}/rows.npz", json.dumps({**options, "activation": side}), folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **MALLOC, **THREADS})
    if done.returncode:
        sys.exit(done.returncode)
    with np.load(Path(folder) / "rows.npz") as arrays:
        return json.loads(done.stdout.splitlines()[-1]) | {"auc": auc(arrays["test_label"], np.load(Path(folder) / "scores.npy"))}


class Din(nn.Module):
    """DIN with the peer's fields, of openmoon's blocks."""

    def __init__(self, log: CtrLog, dim: int, attention: int, hidden: list[int]) -> None:
        super().__init__()
        numbers, sizes = log.vocabulary.of_entities(log.entities), log.vocabulary.sizes()
        self.embeddings = Embeddings(numbers, log.entities.words, sizes, dim)
        self.attend = LocalActivation(2 * dim, attention)
        self.tower = Tower(dim, 4 * dim, hidden, 0.0)

    def forward(self, batch: Batch) -> torch.Tensor:
        target, past = self.embeddings.behaviour(batch.item), self.embeddings.behaviour(batch.history)
        pooled = self.attend(past, target, batch.history > 0)
        logits, _ = self.tower(self.embeddings.of("user", batch.user), torch.cat([target, pooled], -1))
        return logits

    def training_logits(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        return logits

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(logits)

    @torch.no_grad()
    def start_from(self, peer: dict[str, np.ndarray]) -> None:
        """Take the weights of FuxiCTR's DIN; its attention reads [t, b, t − b, t∘b] where openmoon's reads [b, t, b − t, b∘t]."""
        values = {name: torch.from_numpy(value) for name, value in peer.items()}
        for field, name in (("user", "user"), ("id", "item"), ("category", "category")):
            weight = values[f"embedding_layer.embedding_layer.embedding_layers.{name}.weight"]
            self.embeddings.tables.get_parameter(f"{field}.weight").copy_(weight)
        aim, own, gap, both = values["attention_layers.attention_layer.mlp.0.weight"].chunk(4, 1)
        unit, layer = self.attend.unit, self.tower.request.in_features
        unit.first.weight.copy_(torch.cat([own, aim, -gap, both], 1))
        unit.first.bias.copy_(values["attention_layers.attention_layer.mlp.0.bias"])
        last = "attention_layers.attention_layer.mlp.2"
        unit.score.load_state_dict({part: values[f"{last}.{part}"] for part in ("weight", "bias")})
        first = values["dnn.mlp.0.weight"]
        self.tower.request.weight.copy_(first[:, :layer])
        self.tower.candidate.load_state_dict({"weight": first[:, layer:], "bias": values["dnn.mlp.0.bias"]})
        linear = [*(m for m in self.tower.body if isinstance(m, nn.Linear)), self.tower.output]
        for number, module in enumerate(linear, 1):
            module.load_state_dict({part: values[f"dnn.mlp.{2 * number}.{part}"] for part in ("weight", "bias")})


def train_din(side: str, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """What a training of openmoon's took. Writes scores of the test rows to `folder`."""
    same = side == "start"
    log = pickle.loads((folder / f"{'rows' if same else side}.pickle").read_bytes())
    torch.manual_seed(options["seed"])
    model = Din(log, options["dim"], options["attention"], options["hidden"])
    if same:
        with np.load(folder / "start.npz") as start:
            model.start_from(dict(start))
    train, test = (Batches(log, log.requests(part), options["batch"] * factor, options["length"])
                   for part, factor in (("train", 1), ("test", 4)))  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=options["lr"], fused=True)
    generator, held, step = torch.Generator().manual_seed(options["seed"]), memory("VmRSS"), 0
    began, cpu = time.perf_counter(), time.process_time()
    for epoch in range(options["epochs"]):
        order = torch.randperm(train.impressions, generator=generator).split(options["batch"]) if same else ()
        for batch in (train.batch(rows.numpy()) for rows in order) if same else train.shuffled((options["seed"], epoch)):
            train_step(model, optimizer, batch, options["seed"], step)
            step += 1
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak, trained = memory("VmHWM"), train.impressions * options["epochs"]
    np.save(folder / "scores.npy", predict(model, test))
    parameters = sum(p.numel() for p in model.parameters() if p.grad is not None)
    return {"rows_per_s": trained / seconds, "rows_per_cpu_s": trained / cpu, "peak_mib": peak, "above_start_mib": peak - held,
            "parameters": parameters, "versions": versions()}  # fmt: skip


def summary(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Medians of speed and memory; mean and spread of the AUC."""
    speed = ("rows_per_s", "rows_per_cpu_s", "peak_mib", "above_start_mib")
    aucs = [one["auc"] for one in rounds]
    return {**{name: float(np.median([one[name] for one in rounds])) for name in speed},
            "auc": float(np.mean(aucs)), "auc_std": float(np.std(aucs, ddof=1)) if len(aucs) > 1 else 0.0}  # fmt: skip


def print_table(summaries: dict[str, dict[str, float]]) -> None:
    """Figures of each side, then how openmoon's stand to the peer's."""
    print("| training | rows/s | rows/CPU s | peak MiB | above start | AUC |\n|---|---:|---:|---:|---:|---:|")
    for name, one in summaries.items():
        print(f"| {name} | {one['rows_per_s']:,.0f} | {one['rows_per_cpu_s']:,.0f} | {one['peak_mib']:,.0f} | "
              f"{one['above_start_mib']:,.0f} | {one['auc']:.4f} ± {one['auc_std']:.4f} |")  # fmt: skip
    print("\n| openmoon / FuxiCTR | rows/s | rows/CPU s | peak MiB | AUC difference |\n|---|---:|---:|---:|---:|")
    for name, peer in ((a, b) for a in summaries for b in summaries if a.startswith("openmoon") and b.startswith("FuxiCTR")):
        ours, theirs = summaries[name], summaries[peer]
        ratios = [f"{ours[what] / theirs[what]:.2f}" for what in ("rows_per_s", "rows_per_cpu_s", "peak_mib")]
        print(f"| {name} / {peer} | {' | '.join(ratios)} | {ours['auc'] - theirs['auc']:+.4f} |")


if __name__ == "__main__":
    with one_line():
        main()
