"""The vectors tables that CTR models read, in rows of entities; refused where they have seen what is measured."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from openmoon.config import Recipe
from openmoon.console import console, plain
from openmoon.ctr.content import VectorRows, vector_rows
from openmoon.ctr.entities import QUERY
from openmoon.ctr.events import clean_text
from openmoon.ctr.log import CtrLog
from openmoon.ctr.time_split import SPLIT_NAMES
from openmoon.errors import UserError
from openmoon.learnt import NO_BEHAVIOUR
from openmoon.serving.load import load_query_vectors, load_vectors
from openmoon.serving.vectors import learnt_until

COVERAGE = 0.9  # share of the impressions whose product has a vector, below which there is a warning


def read_vectors(recipe: Recipe, log: CtrLog) -> VectorRows:
    """The vectors of products and queries that the recipe names, or those in its workdir. Raises `UserError` for vectors that
    have learnt from the part that is measured, and for queries' vectors of another encoder."""
    assert recipe.ctr is not None
    path = recipe.ctr.vectors or recipe.workdir / "vectors.parquet"
    _refuse_seen(path, log)
    found = load_vectors(path)
    queries = _query_vectors(recipe, log, found.encoder, found.matrix.shape[1])
    rows = vector_rows(log.entities, found.ids, found.matrix, queries, found.encoder or str(path))
    if not rows.covered:
        theirs, ours = next(iter(found.ids), None), log.entities.products["product_id"][0]
        raise UserError(f"{path}: has a vector (zeros are none) of none of the products; its first product_id is {theirs!r}, "
                        f"the catalogue's {ours!r}. Embed this catalogue, or name its table.")  # fmt: skip
    say_coverage(rows, log)
    return rows


def say_coverage(rows: VectorRows, log: CtrLog) -> None:
    """Print how many have a vector, and warn where many have none."""
    with_vector = rows.vectors.any(1).numpy()
    impressions = sum(log.shown(split) for split in SPLIT_NAMES)
    shown, asked = float(np.average(with_vector, weights=impressions)), log.query > 0
    console.print(f"  vectors: of {rows.covered:.1%} of the products and {shown:.1%} of the impressions; of "
                  f"{with_vector[log.query[asked]].mean() if asked.any() else 0:.1%} of the requests with a query")  # fmt: skip
    if shown < COVERAGE:
        console.print(f"  [yellow]only {shown:.1%} of the impressions are of products with a vector[/]: the others share one "
                      "that is learnt, so what vectors are worth is understated; embed the whole catalogue")  # fmt: skip


def _query_vectors(recipe: Recipe, log: CtrLog, encoder: str | None, dim: int) -> np.ndarray | None:
    """(queries, D), NaN where a query has none; None where there is no table."""
    assert recipe.ctr is not None
    entities = log.entities
    path = recipe.ctr.query_vectors or recipe.workdir / "query_vectors.parquet"
    if recipe.ctr.query_vectors is None and not path.exists():
        if len(entities.queries):
            console.print(
                f"  no vectors of queries ({plain(path)} is not there; `openmoon embed` with embed.queries=true makes it)"
            )
        return None
    _refuse_seen(path, log)
    found = load_query_vectors(path)
    if found.encoder != encoder:
        raise UserError(f"{path}: made by encoder {found.encoder!r}, the products' vectors by {encoder!r}; cosines between them "
                        "mean nothing. Make both with one encoder.")  # fmt: skip
    if found.matrix.shape[1] != dim:
        raise UserError(f"{path}: vectors of {found.matrix.shape[1]} dimensions, the products' have {dim}; make both with one "
                        "encoder.")  # fmt: skip
    known = found.queries.with_columns(clean_text(pl.col("query_text"))).with_row_index("place")
    known = known.unique(QUERY, keep="first", maintain_order=True)
    place = entities.queries.join(known, on=QUERY, how="left", nulls_equal=True, maintain_order="left")["place"]
    missing = np.full((1, dim), np.nan, np.float32)
    return np.concatenate([found.matrix, missing])[place.fill_null(len(found.matrix)).to_numpy()]


def _refuse_seen(path: Path, log: CtrLog) -> None:
    """`UserError` where the vectors' encoder has learnt from events of the part that is held out."""
    begins = datetime.fromtimestamp(int(log.seconds[log.requests("val")].min()), UTC).replace(tzinfo=None)
    seen = learnt_until(path)
    if seen is None:
        console.print(f"  [yellow]{plain(path)} does not say how late the behaviour is that its encoder learnt "
                      f"from[/]; make sure that it is before {begins}, where the validation part begins")  # fmt: skip
    elif seen != NO_BEHAVIOUR and seen >= begins:
        raise UserError(f"{path}: its encoder has learnt from events up to {seen}, but models are validated and tested on what "
                        f"comes from {begins} on; train it with data.until={begins.isoformat()} or before.")  # fmt: skip
