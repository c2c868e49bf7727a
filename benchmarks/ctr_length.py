"""What long behaviour sequences cost: training rows a second and peak memory of DIN, SIM (soft search) and MUSE by length.

    python benchmarks/ctr_length.py --lengths 50 200 1000 5000 10000

Shoppers with as many behaviours as the longest sequence, of products drawn at random from a small catalogue with random vectors;
requests with 12 candidates each. The attention looks at all behaviours (din), or at the latest 20 and the 50 that a search finds
(sim_soft by id embeddings, muse by vectors, which also counts all behaviours by their similarity). Each point is a process of
its own: steps for `--seconds` after one to warm up; memory is the peak less what was held before the first step, beside the peak
itself. Writes a JSON and, beside it, a plot.
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from fuxictr_din import memory

from openmoon.config.ctr import CtrConfig
from openmoon.ctr.batches import Batches
from openmoon.ctr.build import Parts, build
from openmoon.ctr.content import VectorRows
from openmoon.ctr.entities import Entities
from openmoon.ctr.fit import train_step
from openmoon.ctr.histories import Histories
from openmoon.ctr.log import CtrLog
from openmoon.ctr.vocabulary import Vocabulary
from openmoon.errors import one_line
from openmoon.io import write_json
from openmoon.runtime import machine, versions

USERS, PRODUCTS, DIM, CANDIDATES, HOUR = 200, 2000, 256, 12, 3600
PER_USER = 3  # requests
FIGURES = {"rows_per_s": "training rows/s", "above_start_mib": "peak MiB above start"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["din", "sim_soft", "muse"])
    parser.add_argument("--lengths", type=int, nargs="+", default=[50, 200, 1000, 5000, 10_000])
    parser.add_argument("--batch", type=int, default=512, help="impressions")
    parser.add_argument("--seconds", type=float, default=5.0, help="of measuring a point, at least three steps")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/ctr_length.json"))
    parser.add_argument("--one", nargs=4, metavar=("MODEL", "LENGTH", "BATCH", "SECONDS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        name, length, batch, seconds = args.one
        print(json.dumps(measure(name, int(length), int(batch), float(seconds))))
        return
    points = []
    print("| model | length | rows/s | rows/CPU s | peak MiB above start | peak MiB |\n|---|---:|---:|---:|---:|---:|")
    for name in args.models:
        for length in args.lengths:
            command = [sys.executable, __file__, "--one", name, str(length), str(args.batch), str(args.seconds)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            points.append({"model": name, "length": length} | json.loads(done.stdout.splitlines()[-1]))
            one = points[-1]
            print(f"| {name} | {length:,} | {one['rows_per_s']:,.0f} | {one['rows_per_cpu_s']:,.0f} | "
                  f"{one['above_start_mib']:,.0f} | {one['peak_mib']:,.0f} |", flush=True)  # fmt: skip
    write_json(args.out, {"points": points, "batch": args.batch, "threads": torch.get_num_threads(), "versions": versions(),
                          "machine": machine()})  # fmt: skip
    plot(points, args.out.with_suffix(".png"))


def synthetic(length: int) -> tuple[CtrLog, VectorRows]:
    """Shoppers with `length` behaviours each before their requests."""
    random = np.random.default_rng(0)
    names = pl.Series([f"p{n}" for n in range(PRODUCTS)])
    products = pl.DataFrame({"product_id": names, "category": [f"c{n % 40}" for n in range(PRODUCTS)],
                             "shop_id": [f"s{n % 100}" for n in range(PRODUCTS)], "price": random.uniform(1, 100, PRODUCTS),
                             "created_at": pl.Series([None] * PRODUCTS, dtype=pl.Datetime)})  # fmt: skip
    nothing = pl.Series([], dtype=pl.String)
    entities = Entities(products, pl.DataFrame({"query_text": nothing, "query_image": nothing}))
    users = pl.Series([f"u{n}" for n in range(USERS)])
    known = {"user": users, "product": names, "query": nothing, "category": products["category"].unique().sort(),
             "shop": products["shop_id"].unique().sort()}  # fmt: skip
    vocabulary = Vocabulary(known, np.linspace(10, 90, 9))
    seconds = np.tile(np.sort(random.integers(0, 10_000 * HOUR, length)), USERS)
    histories = Histories(random.integers(1, PRODUCTS + 1, USERS * length, dtype=np.int32),
                          np.ones(USERS * length, np.int8), seconds)  # fmt: skip
    who = np.tile(np.arange(USERS), PER_USER)
    count = len(who) * CANDIDATES
    log = CtrLog(
        entities, vocabulary, histories, user=vocabulary.numbers("user", users)[who], shopper=who + 1, shoppers=users,
        query=np.zeros(len(who), np.int32), seconds=np.full(len(who), 10_001 * HOUR), split=np.zeros(len(who), np.int8),
        start=who * length, end=(who + 1) * length, first=np.arange(len(who) + 1) * CANDIDATES,
        item=random.integers(1, PRODUCTS + 1, count, dtype=np.int32), label=(random.random(count) < 0.1).astype(np.float32),
        position=np.zeros(count, np.int32), propensity=np.full(count, np.nan, np.float32), row=np.arange(count), counts={},
    )  # fmt: skip
    vectors = random.standard_normal((len(entities), DIM), np.float32)
    vectors[0] = 0
    unit = torch.nn.functional.normalize(torch.from_numpy(vectors), dim=1)
    return log, VectorRows(unit, "random", 1.0)


def measure(name: str, length: int, batch: int, seconds: float) -> dict[str, Any]:
    """Speed and memory of training steps, the reading of batches included."""
    log, rows = synthetic(length)
    torch.manual_seed(0)
    config = CtrConfig(length=length)
    model = build(name, Parts(log.entities, log.vocabulary, config, rows))
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, fused=True)
    batches = Batches(log, log.requests("train"), batch, length)
    held = memory("VmRSS")
    feed = (one for epoch in range(10**6) for one in batches.shuffled((0, epoch)))
    train_step(model, optimizer, next(feed), 0, 0)
    trained, step = 0, 0
    began, cpu = time.perf_counter(), time.process_time()
    while step < 3 or time.perf_counter() - began < seconds:
        one = next(feed)
        step += 1
        train_step(model, optimizer, one, 0, step)
        trained += len(one.candidate)
    wall, cpu, peak = time.perf_counter() - began, time.process_time() - cpu, memory("VmHWM")
    return {"rows_per_s": trained / wall, "rows_per_cpu_s": trained / cpu, "steps": step, "peak_mib": peak,
            "above_start_mib": peak - held}  # fmt: skip


def plot(points: list[dict[str, Any]], path: Path) -> None:
    """Speed and memory by length, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for panel, (what, label) in zip(panels, FIGURES.items(), strict=True):
        for name in dict.fromkeys(one["model"] for one in points):
            mine = [one for one in points if one["model"] == name]
            panel.loglog([one["length"] for one in mine], [one[what] for one in mine], marker="o", label=name)
        panel.set(xlabel="behaviours in the sequence", ylabel=label)
        panel.grid(alpha=0.3, which="both")
    panels[0].legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    with one_line():
        main()
