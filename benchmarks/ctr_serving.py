"""How long a saved CTR model takes to score one request, by model and size of the catalogue.

    python benchmarks/ctr_serving.py runs/sample-ctr --catalog shop/catalog.parquet --products 2000 200000

A request has 100 candidates, a query in words with its vector, and as many behaviours as the model reads, a tenth of them
queries. The catalogue is filled up to each size with products that training did not know, with random vectors. One thread; median
and 95th percentile of the requests' processor time.
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import torch

from openmoon.ctr.build import uses_vectors
from openmoon.ctr.predictor import Behaviour, CtrPredictor, Query
from openmoon.errors import one_line
from openmoon.io import write_json
from openmoon.runtime import machine, versions

CANDIDATES, REQUESTS, WARM = 100, 100, 5
NOW = datetime(2025, 5, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path, help="of `openmoon ctr train`")
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=["din", "concat", "cube", "muse", "simtier_make"])
    parser.add_argument("--products", type=int, nargs="+", default=[2000, 200_000])
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/ctr_serving.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    points = []
    print("| model | products | ms, median | ms, 95% |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for size in args.products:
            catalog = filled(pl.read_parquet(args.catalog), size)
            vectors = filled_vectors(pl.read_parquet(args.workdir / "vectors.parquet"), catalog, Path(folder) / f"{size}.parquet")
            for name in args.models:
                model = args.workdir / "ctr" / f"{name}-seed0"
                predictor = CtrPredictor.load(model, catalog, vectors if uses_vectors(name) else None)
                spent = 1000 * measure(predictor, catalog["product_id"].to_list())
                points.append({"model": name, "products": len(catalog), "median_ms": float(np.median(spent)),
                               "p95_ms": float(np.quantile(spent, 0.95))})  # fmt: skip
                one = points[-1]
                print(f"| {name} | {one['products']:,} | {one['median_ms']:.1f} | {one['p95_ms']:.1f} |", flush=True)
    write_json(args.out, {"points": points, "candidates": CANDIDATES, "versions": versions(), "machine": machine()})


def filled(catalog: pl.DataFrame, size: int) -> pl.DataFrame:
    """The catalogue with the columns that CTR models read, and unknown products up to `size`."""
    columns: dict[str, pl.DataType | type[pl.DataType]] = {
        "product_id": pl.String, "category": pl.String, "shop_id": pl.String, "price": pl.Float64,
        "created_at": pl.Datetime("us"),
    }  # fmt: skip
    known = catalog.select(
        pl.col(name).cast(dtype) if name in catalog.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in columns.items()
    )
    more = pl.DataFrame({"product_id": [f"unknown {n}" for n in range(size - len(known))]}, schema={"product_id": pl.String})
    return pl.concat([known, more], how="diagonal")


def filled_vectors(vectors: pl.DataFrame, catalog: pl.DataFrame, path: Path) -> Path:
    """The vectors table, and random vectors for the products that it lacks."""
    width = len(vectors["vector"][0])
    missing = catalog.select("product_id").join(vectors, on="product_id", how="anti")
    random = np.random.default_rng(0).normal(size=(len(missing), width)).astype(np.float32)
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    more = missing.with_columns(
        pl.Series("vector", random, dtype=pl.Array(pl.Float32, width)).cast(vectors["vector"].dtype)
    )
    pl.concat([vectors, more], how="diagonal").with_columns(pl.col("encoder").forward_fill()).write_parquet(path)
    return path


def measure(predictor: CtrPredictor, products: list[str]) -> np.ndarray:
    """(REQUESTS,) seconds of processor time of each request."""
    random, length = np.random.default_rng(0), predictor.config.length
    content = predictor.model.content
    vector = random.normal(size=content.dim) if content is not None else None
    past = [
        Behaviour(NOW - timedelta(hours=n + 1), query=Query("red boots", None, vector))
        if n % 10 == 0
        else Behaviour(NOW - timedelta(hours=n + 1), products[random.integers(len(products))])
        for n in range(length)
    ]
    spent = []
    for _ in range(WARM + REQUESTS):
        candidates = [products[n] for n in random.choice(len(products), CANDIDATES, replace=False)]
        began = time.process_time()
        predictor.score("u", candidates, Query("blue bag", None, vector), past, NOW)
        spent.append(time.process_time() - began)
    return np.array(spent[WARM:])


if __name__ == "__main__":
    with one_line():
        main()
