"""An account of pairs: how many each rule met, dropped and repeated, with examples of what went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

EXAMPLES = 3
SHOWN = ("query_text", "query_image_key", "product_id")


@dataclass(frozen=True)
class Entry:
    """One rule: pairs that came, that it dropped, whose text it took, that it repeated, that went on; and dropped examples
    (query_text, query_image_key, product_id)."""

    rule: str
    came: int
    dropped: int
    shortened: int
    repeated: int
    kept: int
    examples: pl.DataFrame


@dataclass
class Ledger:
    """The rules that pairs passed, in order."""

    entries: list[Entry] = field(default_factory=list)

    def apply(self, rule: str, pairs: pl.DataFrame, change: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
        """`change` the pairs, where there are any left, and write down what it did."""
        numbered = pairs.with_row_index("_pair")
        after = numbered if numbered.is_empty() else change(numbered)
        kept = after.unique("_pair")
        dropped = numbered.join(kept.select("_pair"), on="_pair", how="anti", maintain_order="left")
        before = numbered.select("_pair", _text="query_text")
        shortened = kept.join(before, on="_pair").filter(pl.col("query_text").is_null() & pl.col("_text").is_not_null())
        examples = dropped.select(SHOWN).head(EXAMPLES)
        self.entries.append(Entry(rule, len(numbered), len(dropped), len(shortened), len(after) - len(kept), len(after),
                                  examples))  # fmt: skip
        return after.drop("_pair")
