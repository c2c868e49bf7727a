"""What it takes to read a log of any size for CTR models: seconds, and memory that is not files which the system may drop.

    python benchmarks/ctr_log.py --events 5000000 20000000 80000000

Random shoppers, each with 500 events in lists of twelve impressions, a fifth of which are clicked; 100,000 products. Written row
group by row group, read in a process of its own through `openmoon.ctr` as `openmoon ctr train` does, up to the first batch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from openmoon.builders.ctr_bench import open_bench
from openmoon.config import Recipe
from openmoon.ctr.batches import Batches
from openmoon.errors import one_line
from openmoon.io import write_json
from openmoon.runtime import machine, versions

PRODUCTS, PER_USER, LIST, SECONDS = 100_000, 500, 12, 90 * 86_400
GROUP = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[5_000_000, 20_000_000, 80_000_000])
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/ctr_log.json"))
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one)))
        return
    points = []
    print("| events | file MiB | s | events/s | held MiB | peak of memory MiB |\n|---:|---:|---:|---:|---:|---:|")
    for events in args.events:
        with tempfile.TemporaryDirectory(dir=args.out.parent if args.out.parent.is_dir() else None) as folder:
            write_shop(Path(folder), events)
            size = (Path(folder) / "events.parquet").stat().st_size / 2**20
            done = subprocess.run([sys.executable, __file__, "--one", folder], check=True, stdout=subprocess.PIPE, text=True)
        points.append({"events": events, "file_mib": round(size)} | json.loads(done.stdout.splitlines()[-1]))
        one = points[-1]
        print(f"| {events:,} | {size:,.0f} | {one['seconds']:,.0f} | {events / one['seconds']:,.0f} | {one['held_mib']:,.0f} | "
              f"{one['peak_mib']:,.0f} |", flush=True)  # fmt: skip
    write_json(args.out, {"points": points, "versions": versions(), "machine": machine()})


def write_shop(folder: Path, events: int) -> None:
    """catalog.parquet and events.parquet."""
    names = np.array([f"p{n}" for n in range(PRODUCTS)])
    pl.DataFrame({"product_id": names, "title": names, "category": [f"c{n % 200}" for n in range(PRODUCTS)]}).write_parquet(
        folder / "catalog.parquet"
    )
    random, users, writer = np.random.default_rng(0), max(1, events // PER_USER), None
    for start in range(0, events, GROUP):
        count = min(GROUP, events - start)
        lists = -(-count // LIST)
        user, second = random.integers(0, users, lists), np.sort(random.integers(0, SECONDS, lists)) + SECONDS * (start / events)
        clicked = random.random(count) < 0.2 / 1.2
        rows = pl.DataFrame({
            "user_id": np.repeat(user, LIST)[:count], "product_id": names[random.integers(0, PRODUCTS, count)],
            "timestamp": np.repeat(second, LIST)[:count] + 30 * clicked,
            "session_id": np.repeat(start + np.arange(lists), LIST)[:count],
            "position": np.tile(np.arange(1, LIST + 1), lists)[:count],
        })  # fmt: skip
        product = pl.col("product_id")
        table = rows.select(
            pl.format("u{}", "user_id").alias("user_id"), pl.from_epoch(pl.col("timestamp").cast(pl.Int64)).alias("timestamp"),
            pl.lit(pl.Series(clicked)).replace_strict({True: "click", False: "impression"}).alias("action"),
            pl.when(pl.Series(clicked)).then(product.shift(1, fill_value=product.first())).otherwise(product).alias("product_id"),
            pl.format("s{}", "session_id").alias("session_id"), "position",
        ).to_arrow()  # fmt: skip
        writer = writer or pq.ParquetWriter(folder / "events.parquet", table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def measure(folder: Path) -> dict[str, float]:
    """Read the shop in `folder` up to the first training batch."""
    recipe = Recipe.model_validate({
        "name": "log", "workdir": str(folder / "run"), "data": {"root": str(folder), "events": "events.parquet"},
        "ctr": {"models": ["dnn", "din"]},
    })  # fmt: skip
    before, peak, done = anonymous(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], anonymous())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    began = time.perf_counter()
    bench = open_bench(recipe)
    log = bench.log
    next(Batches(log, log.requests("train"), 1024, 50).shuffled((0,)))
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    return {"seconds": seconds, "held_mib": anonymous() - before, "peak_mib": peak[0] - before, "requests": len(log.user)}


def anonymous() -> float:
    """MiB of this process that are not pages of files."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


if __name__ == "__main__":
    with one_line():
        main()
