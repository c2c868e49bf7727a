"""What an augmentation made and kept, as the terminal shows it."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table

from openmoon.console import figures

QUANTILES = (0.05, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class AugmentSummary:
    """`kinds` has a row per kind and source: made, kept, products with any kept, and quantiles of the score; `reasons` a row per
    kind, source and reason: rows left out."""

    products: int
    kinds: pl.DataFrame
    reasons: pl.DataFrame

    def __rich__(self) -> RenderableType:
        made = figures("Made and kept (score quantiles)")
        for heading in ("kind", "source", "made", "kept", "share", "products", *(f"{100 * q:.0f}%" for q in QUANTILES)):
            made.add_column(heading, justify="left" if heading in ("kind", "source") else "right")
        for kind, source, rows, kept, products, *scores in self.kinds.iter_rows():
            shown = ["—" if score is None else f"{score:.3f}" for score in scores]
            share = f"{kept / rows:.3f}" if rows else "—"
            made.add_row(kind, source, f"{rows:,}", f"{kept:,}", share, f"{products:,} of {self.products:,}", *shown)
        parts: list[RenderableType] = [made]
        if len(self.reasons):
            left = Table("kind", "source", "rows", "left out because", title="Left out", title_justify="left")
            for kind, source, reason, rows in self.reasons.iter_rows():
                left.add_row(kind, source, f"{rows:,}", reason)
            parts.append(left)
        return Group(*parts)


def summarise(table: pl.DataFrame, products: int) -> AugmentSummary:
    """Count an augmentation table (`table.SCHEMA`) of `products` products."""
    score = [pl.col("score").quantile(q, "linear").alias(f"q{q}") for q in QUANTILES]
    made = pl.col("text").is_not_null() | pl.col("image").is_not_null()
    kinds = table.group_by("kind", "source").agg(
        made.sum().alias("made"), pl.col("kept").sum(), pl.col("product_id").filter("kept").n_unique().alias("products"), *score
    ).sort("kind", "source")  # fmt: skip
    reason = pl.col("reason").str.replace(r"^(lost or changed|names another brand): .*$", "$1")
    reason = reason.str.replace(r"^(no answer: HTTP [^(]*\S) \(.*\)$", "$1")  # without the server's words
    reasons = table.filter(~pl.col("kept")).group_by("kind", "source", reason).len("rows")
    return AugmentSummary(products, kinds, reasons.sort("kind", "source", "rows", "reason",
                          descending=[False, False, True, False]))  # fmt: skip
