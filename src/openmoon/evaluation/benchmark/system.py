"""What is compared: an encoder, or a table of vectors that somebody else made of the products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from openmoon.evaluation.benchmark.scores import MAJORITY
from openmoon.evaluation.encode import Encode, can_read, encode_table
from openmoon.evaluation.retrieval import BM25, CHANCE

BASELINES = (CHANCE, BM25, MAJORITY)  # names that no encoder can have
VIEWS = {"text": ("text",), "image": ("image",), "both": ("text", "image")}  # name: the parts that an example must have
Lookup = Callable[[Sequence[str]], np.ndarray]
"""Product ids → (N, d) vectors; `UserError` for a product that is not there."""


@dataclass(frozen=True)
class System:
    """`encode` makes vectors of texts and pictures; a `table` has one of each product. One of the two is given.

    `facts` identify it in result files.
    """

    name: str
    encode: Encode | None = None
    table: Lookup | None = None
    facts: dict[str, str] = field(default_factory=dict)

    def vectors(
        self, view: str, examples: pl.DataFrame, are_products: bool, advance: Callable[[int], None]
    ) -> np.ndarray | None:
        """(N, d) of the examples under a view; None where the system does not have this view.

        A table holds whole products: it is asked for the view of both, and only of examples that are products.
        """
        if self.encode is None:
            known = self.table if are_products and view == "both" else None
            return known(examples["example_id"].to_list()) if known else None
        if not can_read(self.encode, VIEWS[view]):
            return None
        parts = {"text": "title", "image": "image"}
        return encode_table(self.encode, examples.select(**{p: parts[p] for p in VIEWS[view]}), self.name, advance)
