"""Peak memory and speed of one post-training step by batch size: whole batches against chunks (GradCache).

    python benchmarks/large_batch.py --batches 256 1024 4096 16384 --chunk 256

The fusion transformer of the default encoder is trained with InfoNCE over three Matryoshka cuts; tokens of frozen trunks (16 of
1280 numbers a picture, 16 of 384 a text, as at 128 px) are drawn at random per row, as if read from the cache. Each figure
comes from a process of its own: the second of two steps for time, the peak of the process less what it held before the
first step for memory. A batch that would not fit --limit GiB whole is left out (judged from the two before it).
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from openmoon.data.lists import Lists, Others
from openmoon.data.views import Parts, Views
from openmoon.errors import one_line
from openmoon.io import write_json
from openmoon.losses.temperature import Temperature
from openmoon.models.fusion import Fusion
from openmoon.models.tokens import Tokens
from openmoon.runtime import machine, versions
from openmoon.training.backward import backward
from openmoon.training.contrast import Contrast
from openmoon.training.plan import Encoded
from openmoon.training.posttrain import Mix, PairTable, posttraining_objective

IMAGE, TEXT = (16, 1280), (16, 384)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 1024, 4096, 16384])
    parser.add_argument("--chunk", type=int, default=256)
    parser.add_argument("--limit", type=float, default=12.0, help="GiB that a whole batch may take")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/large_batch.json"))
    parser.add_argument("--one", type=int, nargs=2, metavar=("BATCH", "CHUNK"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(step(*args.one)))
        return
    rows: list[dict[str, Any]] = []
    print("| batch | whole: MiB | pairs/s | chunks of", args.chunk, ": MiB | pairs/s |\n|---:|---:|---:|---:|---:|")
    for batch in args.batches:
        known = [row["whole"]["mib"] / row["batch"] for row in rows if row["whole"]]
        fits = not known or known[-1] * batch < args.limit * 1024
        row = {"batch": batch, "whole": child(batch, 0) if fits else None, "chunks": child(batch, args.chunk)}
        rows.append(row)
        whole = [f"{row['whole']['mib']:,}", f"{row['whole']['pairs_per_s']:,}"] if row["whole"] else ["—", "—"]
        print(f"| {batch:,} | {' | '.join(whole)} | {row['chunks']['mib']:,} | {row['chunks']['pairs_per_s']:,} |", flush=True)
    write_json(args.out, {"rows": rows, "chunk": args.chunk, "versions": versions(), "machine": machine()})


def child(batch: int, chunk: int) -> dict[str, int]:
    """What `step` measures, in a fresh process."""
    command = [sys.executable, __file__, "--one", str(batch), str(chunk)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def step(batch: int, chunk: int) -> dict[str, int]:
    """Peak MiB above the start, and pairs a second."""
    torch.manual_seed(0)
    fusion = Fusion(IMAGE[1], TEXT[1], width=256, depth=2, heads=4, hidden=512, dim=256)
    temperature = Temperature(0.05)
    names = np.array([f"{n}" for n in range(batch)], dtype=object)
    alone, others = np.arange(batch), Others(Lists.empty(batch), np.full(batch, -1))
    pairs = PairTable(Parts({"text": names}, names), alone, alone, others, {})
    mix = Mix(["image", "text"], ["rich+image", "rich+image"], [0.5, 0.5])
    objective = posttraining_objective(Contrast(temperature, (64, 128, 256)), pairs, Parts({"rich": names}, names),
                                       np.arange(batch), mix)  # fmt: skip

    def encode(views: Views, rng: np.random.Generator) -> Encoded:
        found = []
        for rows in views.by_composition():
            some = views.take(rows)
            image = drawn(len(rows), IMAGE, rng) if some.images[0] is not None else None
            text = drawn(len(rows), TEXT, rng) if some.texts[0] is not None else None
            found.append(torch.nn.functional.normalize(fusion(image, text)[0], dim=-1))
        return Encoded(torch.cat(found))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        started = time.perf_counter()
        plan = objective(np.arange(batch), np.random.default_rng(0), 0.0)
        backward(plan, encode, (0, 0), chunk)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"mib": (peak - before) // 1024, "pairs_per_s": round(batch / seconds)}


def drawn(rows: int, shape: tuple[int, int], rng: np.random.Generator) -> Tokens:
    """Random tokens, the same for the same generator."""
    values = torch.from_numpy(rng.standard_normal((rows, *shape), np.float32))
    return Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool))


if __name__ == "__main__":
    with one_line():
        main()
