"""The serving form: a saved model that scores the candidates of one request in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import cast

import numpy as np
import polars as pl
import torch
from torch.nn import functional as F

from openmoon.config.ctr import CtrConfig
from openmoon.config.section import Action
from openmoon.ctr.batches import CANDIDATES, Batch, ages
from openmoon.ctr.blocks.interest import Interest
from openmoon.ctr.build import uses_vectors
from openmoon.ctr.content import vector_rows
from openmoon.ctr.entities import Entities, word_numbers
from openmoon.ctr.events import clean_text
from openmoon.ctr.histories import QUERY as QUERY_KIND
from openmoon.ctr.model import CtrModel
from openmoon.ctr.saved import load_model, saved_config
from openmoon.ctr.vocabulary import NONE, UNKNOWN, Vocabulary
from openmoon.data.schema import ACTIONS
from openmoon.errors import UserError
from openmoon.serving.load import load_vectors


@dataclass(frozen=True)
class Query:
    """What was asked: words, a photo by the name that the log gives it, or both; and its vector (D,), where there is one."""

    text: str | None = None
    image: str | None = None
    vector: np.ndarray | None = None


@dataclass(frozen=True)
class Behaviour:
    """What a shopper did before: chose a product (`action`), or asked a query."""

    at: datetime
    product: str | None = None
    action: Action = "click"
    query: Query | None = None


class CtrPredictor:
    """A trained model over a catalogue and a vectors table. Vectors are looked up in the table, the model has none.

    `score` may be called from several threads; calls are answered one after the other.
    """

    def __init__(self, model: CtrModel, entities: Entities, vocabulary: Vocabulary, config: CtrConfig) -> None:
        self.model, self.config, self._lock = model, config, Lock()
        self._product_row = {name: row for row, name in enumerate(entities.products["product_id"].to_list(), 1)}
        self._slots = range(entities.first_query, len(entities))  # rows that are kept for queries
        self._user, self._query = vocabulary.lookup("user"), vocabulary.lookup("query")
        self._query_base = vocabulary.size("product")

    @classmethod
    def load(cls, folder: Path, catalog: pl.DataFrame, vectors: Path | None = None) -> CtrPredictor:
        """The model in `folder` (`<workdir>/ctr/<model>-seed<N>`) for the products of `catalog` (as in `data/schema.py`).

        `vectors` is the table that its encoder made, needed by models that use vectors. Raises `UserError` for vectors of
        another encoder."""
        saved = saved_config(folder)
        config = CtrConfig.model_validate(saved["config"])
        slots = pl.DataFrame({"query_text": [f"\0{slot}" for slot in range(config.length + 1)], "query_image": None},
                             schema={"query_text": pl.String, "query_image": pl.String})  # fmt: skip
        known = Entities(catalog.select("product_id", "category", "shop_id", "price", "created_at"), slots)
        rows = None
        if vectors is not None and uses_vectors(str(saved["model"])):
            found = load_vectors(vectors)
            rows = vector_rows(known, found.ids, found.matrix, None, found.encoder or str(vectors))
        return cls(load_model(folder, known, rows), known, Vocabulary.load(folder / "vocabulary.parquet"), config)

    def score(
        self, user: str, candidates: Sequence[str], query: Query | None = None, behaviours: Sequence[Behaviour] = (),
        at: datetime | None = None,
    ) -> np.ndarray:  # fmt: skip
        """(K,) float32 probability that `user` chooses each of the `candidates`, product ids, when shown now, or `at`.

        Times are naive UTC like the log's. Behaviours at or after that moment are left out, and of the others the latest
        `config.length` count; of several at one moment the last given is the latest. Raises `UserError` for a candidate that
        the catalogue lacks."""
        moment = at or datetime.now(UTC).replace(tzinfo=None)
        if missing := [one for one in candidates if one not in self._product_row]:
            raise UserError(f"candidate {missing[0]!r} is not in the catalogue that the predictor was loaded with; load it anew.")
        rows = np.array([self._product_row[one] for one in candidates], np.int64)
        earlier = sorted((one for one in behaviours if one.at < moment), key=lambda one: one.at)
        past = earlier[::-1][: self.config.length]
        with self._lock, torch.inference_mode():
            batch = self._batch(user, rows, query, past, moment)
            return self.model.probabilities(self.model(batch)).flatten()[: len(rows)].numpy()

    def _batch(self, user: str, items: np.ndarray, query: Query | None, past: list[Behaviour], at: datetime) -> Batch:
        """One request in as many rows as its candidates need."""
        count = max(1, -(-len(items) // CANDIDATES))
        item = np.pad(items, (0, count * CANDIDATES - len(items))).reshape(count, CANDIDATES)
        queries = [query, *(one.query for one in past)]
        texts = _clean_texts(queries)
        asked, *places = [self._place(one, text, slot) if one and (text or one.image) else NONE
                          for one, text, slot in zip(queries, texts, self._slots[: len(queries)], strict=True)]  # fmt: skip
        history = [row if one.query is not None else self._product_row.get(one.product or "", 0)
                   for one, row in zip(past, places, strict=True)]  # fmt: skip
        kind = [QUERY_KIND if one.query is not None else ACTIONS.index(one.action) for one in past]
        age = ages(np.array([(at - one.at).total_seconds() for one in past]))
        there = np.array(history, np.int64) > 0  # products that have left the catalogue are no behaviours
        column = {"history": np.array(history, np.int64)[there], "kind": np.array(kind, np.int64)[there], "age": age[there]}
        rows = {name: torch.from_numpy(values).expand(count, -1) for name, values in column.items()}
        asks = 0 if query is None else bool(texts[0]) + 2 * bool(query.image)
        one = {"user": self._user.get(user, UNKNOWN), "query": asked, "hour": at.hour, "weekday": at.weekday(), "asks": asks}
        alone = {name: torch.full((count,), value) for name, value in one.items()}
        none = torch.zeros(item.shape)
        return Batch(**alone, **rows, item=torch.from_numpy(item), label=none, position=none.long(), weight=none,
                     candidate=torch.arange(len(items)))  # fmt: skip

    def _place(self, query: Query, text: str | None, row: int) -> int:
        """Put a query into a row that is kept for queries; `text` is its text in normal form."""
        embeddings, content = self.model.embeddings, self.model.content
        embeddings.numbers[row] = 0
        embeddings.numbers[row, 0] = self._query_base + self._query.get(text or query.image or "", UNKNOWN)
        embeddings.words[row] = torch.from_numpy(word_numbers([text or ""])[0])
        if content is not None:
            given = np.zeros(content.dim) if query.vector is None else query.vector
            vector = torch.from_numpy(np.asarray(given, np.float32))
            if vector.shape != (content.dim,):
                raise UserError(f"a query's vector has shape {tuple(vector.shape)}, expected ({content.dim},), as of products.")
            content.vectors[row], content.absent[row] = F.normalize(vector, dim=0), not bool(vector.any())
            for block in cast(list[Interest], self.model.interests):
                block.place(row, content.vectors[row])
        return row


def _clean_texts(queries: Sequence[Query | None]) -> list[str | None]:
    """The texts in normal form; None where there is no query, or nothing is left of its text."""
    texts = pl.Series([query.text if query else None for query in queries], dtype=pl.String)
    return pl.select(clean_text(pl.lit(texts))).to_series().to_list()
