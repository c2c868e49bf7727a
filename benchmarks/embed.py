"""`openmoon embed` against its limit and against sentence-transformers: JPEG files on disk → vectors on disk.

    python benchmarks/embed.py --encoder runs/fashion/posttrain/encoder --catalog data/fashion/catalog.parquet --products 1024

One process after another, each tuned alike (malloc, threads), rounds interleaved, medians of ratios:
- limit: the bare forward pass of the same exported trunks and the fusion, on batches that are already decoded and tokenised,
  as many at a time as `openmoon embed` takes
- openmoon: the steps that `openmoon embed` takes, from reading files to the Parquet table
- sentence-transformers: `SentenceTransformer(folder).encode` of the same weights, files and batch size, saved with numpy
- memory: peak of `openmoon embed` on a small and on a large catalogue (the same files repeated under new ids)
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl

from openmoon.config import Recipe
from openmoon.config.data import Precision
from openmoon.data.images import load_image
from openmoon.data.text import item_texts
from openmoon.errors import one_line
from openmoon.io import write_json
from openmoon.lanes import cpu_lanes, in_lanes
from openmoon.models.encode import encode_batch
from openmoon.models.encoder import ProductEncoder
from openmoon.models.onnx.trunks import accelerate
from openmoon.runtime import machine, versions
from openmoon.steps.embed import embed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--products", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--view", default="rich+image", choices=["rich+image", "title+image"], help="of products")
    parser.add_argument("--precision", choices=get_args(Precision), default="float32", help="of openmoon and of the limit")
    parser.add_argument("--memory", type=int, nargs=2, default=(2000, 20000), metavar=("SMALL", "LARGE"))
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/embed.json"))
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)  # the child that measures one catalogue
    args = parser.parse_args()
    if args.memory_of:
        embed(recipe_for(args.memory_of, args.batch_size, args.precision, args.view), args.encoder)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    with tempfile.TemporaryDirectory() as folder:
        catalog = complete(args.catalog).head(args.products)
        result = compare(catalog, args.encoder, Path(folder), args.rounds, args.batch_size, args.precision, args.view)
        how = [f"--encoder={args.encoder}", f"--batch-size={args.batch_size}", f"--precision={args.precision}",
               f"--view={args.view}"]  # fmt: skip
        result["peak_memory_mib"] = {
            str(n): peak_memory(complete(args.catalog), n, Path(folder) / f"memory-{n}", how) for n in args.memory
        }
    result |= {"products": catalog.height, "view": args.view, "batch_size": args.batch_size, "precision": args.precision,
               "versions": versions(), "machine": machine()}  # fmt: skip
    write_json(args.out, result)
    print(json.dumps({k: v for k, v in result.items() if k not in ("versions", "seconds")}, indent=2))


def complete(path: Path) -> pl.DataFrame:
    """Products with both text and picture, pictures by absolute path."""
    from openmoon.config import DataConfig
    from openmoon.data.shop import load_shop

    shop = load_shop(DataConfig(catalog=path))
    both = shop.catalog.filter(pl.col("image").is_not_null() & pl.col("title").is_not_null())
    return both.with_columns(image=pl.Series([str(shop.image_path(name).resolve()) for name in both["image"]]))


def recipe_for(folder: Path, batch_size: int = 32, precision: Precision = "float32", view: str = "rich+image") -> Recipe:
    """A recipe that embeds `folder`/catalog.parquet into `folder`."""
    how = {"batch_size": batch_size, "precision": precision, "view": view}
    return Recipe.model_validate({"name": "benchmark", "workdir": folder, "data": {"root": folder}, "embed": how})


def compare(
    catalog: pl.DataFrame, encoder_folder: Path, folder: Path, rounds: int, batch_size: int, precision: Precision, view: str
) -> dict[str, object]:
    """Seconds of each system per round, and the ratios."""
    from sentence_transformers import SentenceTransformer

    texts = catalog.join(item_texts(catalog), on="product_id", maintain_order="left")[view.partition("+")[0]].to_list()
    inputs = [{"text": text, "image": image} for text, image in zip(texts, catalog["image"], strict=True)]
    encoder = ProductEncoder.from_pretrained(encoder_folder)
    peer = SentenceTransformer(str(encoder_folder.resolve()), trust_remote_code=True, device="cpu")
    folder.mkdir(parents=True, exist_ok=True)
    catalog.write_parquet(folder / "catalog.parquet")
    fast = accelerate(encoder, folder / "onnx", precision=precision)
    batches = prepared(fast, inputs, batch_size)

    def limit() -> None:
        for _ in in_lanes(lambda batch: encode_batch(fast, *batch), batches, cpu_lanes()):
            pass

    def ours() -> None:
        (folder / "vectors.parquet").unlink(missing_ok=True)
        embed(recipe_for(folder, batch_size, precision, view), encoder_folder)

    def theirs() -> None:
        np.save(folder / "peer.npy", peer.encode(inputs, batch_size=batch_size))

    systems = {"limit": limit, "openmoon": ours, "sentence-transformers": theirs}
    for run in systems.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for _ in range(rounds):
        for name, run in systems.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    table = pl.read_parquet(folder / "vectors.parquet")
    mine = table["vector"].to_numpy()
    order = {name: row for row, name in enumerate(table["product_id"])}
    mine = mine[[order[name] for name in catalog["product_id"]]]
    cosines = (mine * np.load(folder / "peer.npy")).sum(1)
    times = {name: np.array(values) for name, values in seconds.items()}
    return {
        "openmoon_over_limit": float(np.median(times["limit"] / times["openmoon"])),
        "openmoon_over_sentence_transformers": float(np.median(times["sentence-transformers"] / times["openmoon"])),
        "products_per_s": {name: round(catalog.height / float(np.median(values)), 1) for name, values in times.items()},
        "cosine_between_outputs": {"mean": float(cosines.mean()), "min": float(cosines.min())},
        "seconds": seconds,
    }


def prepared(
    encoder: ProductEncoder, inputs: list[dict[str, str]], batch_size: int
) -> list[tuple[list[list[int]], list[np.ndarray | None]]]:
    """Batches as `openmoon embed` forms them, decoded and tokenised."""
    ids = encoder.text.tokenize([i["text"] for i in inputs])
    order = sorted(range(len(inputs)), key=lambda row: -len(ids[row]))
    chunks = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [
        ([ids[r] for r in rows], [load_image(Path(inputs[r]["image"]), encoder.image_size) for r in rows])
        for rows in chunks
    ]


def peak_memory(catalog: pl.DataFrame, products: int, folder: Path, how: list[str]) -> int:
    """MiB of a fresh process that embeds `products` products as `how` says; the catalogue is repeated under new ids to reach
    them."""
    folder.mkdir(parents=True)
    copies = [
        catalog.with_columns(product_id=pl.col("product_id") + f"-{n}") for n in range(-(-products // catalog.height))
    ]
    pl.concat(copies).head(products).write_parquet(folder / "catalog.parquet")
    command = [sys.executable, __file__, f"--memory-of={folder}", f"--catalog={folder}", *how]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.rmtree(folder)
    return int(done.stdout.split()[-1])


if __name__ == "__main__":
    with one_line():
        main()
