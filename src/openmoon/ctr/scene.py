"""What models look at: a batch's rows as embeddings and vectors, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from openmoon.ctr.batches import AGES, Batch
from openmoon.ctr.content import Content
from openmoon.ctr.entities import WORD_BUCKETS
from openmoon.ctr.histories import KINDS

STD = 0.05


class Embeddings(nn.Module):
    """Id embeddings of `dim` for every field. `numbers` maps entities to numbers (id, category, shop, price), `words` (rows, W)
    are those of queries; both are looked up and not part of the weights. `sizes` are the numbers of each field."""

    def __init__(
        self, numbers: Mapping[str, np.ndarray], words: np.ndarray, sizes: Mapping[str, int], dim: int
    ) -> None:
        super().__init__()
        self.dim = dim
        tables = {**sizes, "word": WORD_BUCKETS, "hour": 24, "weekday": 7, "asks": 4, "kind": KINDS, "age": AGES}
        self.tables = nn.ModuleDict({field: _table(size, dim) for field, size in tables.items()})
        self.numbers: torch.Tensor
        self.words: torch.Tensor
        order = ("id", "category", "shop", "price")
        self.register_buffer(
            "numbers", torch.from_numpy(np.stack([numbers[field] for field in order], 1)).long(), persistent=False
        )
        self.register_buffer("words", torch.from_numpy(words).long(), persistent=False)

    def of(self, field: str, numbers: torch.Tensor) -> torch.Tensor:
        """(...,) numbers of a field → (..., dim). `index_select` sums gradients several times faster than `nn.Embedding` does."""
        weight = self.tables.get_parameter(f"{field}.weight")
        return weight.index_select(0, numbers.flatten()).view(*numbers.shape, self.dim)

    def product(self, rows: torch.Tensor) -> torch.Tensor:
        """(...,) entities → (..., 4 dim): id, category, shop, price."""
        numbers = F.embedding(rows, self.numbers)
        return torch.cat(
            [self.of(field, numbers[..., i]) for i, field in enumerate(("id", "category", "shop", "price"))], -1
        )

    def behaviour(self, rows: torch.Tensor, how: torch.Tensor | None = None) -> torch.Tensor:
        """(...,) entities → (..., 2 dim): id, to which `how` (..., dim) is added, and category."""
        numbers = F.embedding(rows, self.numbers)
        ids = self.of("id", numbers[..., 0])
        return torch.cat([ids if how is None else ids + how, self.of("category", numbers[..., 1])], -1)

    def query(self, rows: torch.Tensor) -> torch.Tensor:
        """(R,) queries → (R, 2 dim): id, and the mean of the words."""
        words = self.words[rows]
        there = (words > 0)[..., None]
        mean = (self.of("word", words) * there).sum(-2) / there.sum(-2).clamp(min=1)
        return torch.cat([self.of("id", self.numbers[rows][..., 0]), mean], -1)


class Scene:
    """A batch under embeddings and vectors. R rows, K candidates, L behaviours."""

    def __init__(self, batch: Batch, embeddings: Embeddings, content: Content | None) -> None:
        self.batch, self.embeddings = batch, embeddings
        self._content = content

    @property
    def content(self) -> Content:
        """What looks vectors up."""
        assert self._content is not None, "models that use vectors are built with them"
        return self._content

    @cached_property
    def mask(self) -> torch.Tensor:
        """(R, L) bool: there is a behaviour."""
        return self.batch.history > 0

    @cached_property
    def product(self) -> torch.Tensor:
        """(R, K, 4 dim) id embeddings of the candidates: id, category, shop, price."""
        return self.embeddings.product(self.batch.item)

    @cached_property
    def target(self) -> torch.Tensor:
        """(R, K, 2 dim): the part of `product` that behaviours have too."""
        return self.product[..., : 2 * self.embeddings.dim]

    @cached_property
    def behaviours(self) -> torch.Tensor:
        """(R, L, 2 dim) id embeddings of the behaviours; kind and age are added to the id."""
        return self.at_behaviours(self.batch.history, self.batch.kind, self.batch.age)

    def at_behaviours(self, rows: torch.Tensor, kind: torch.Tensor, age: torch.Tensor) -> torch.Tensor:
        """Embeddings of chosen behaviours: entities, kinds and ages (...,) → (..., 2 dim)."""
        return self.embeddings.behaviour(rows, self.embeddings.of("kind", kind) + self.embeddings.of("age", age))

    def newest(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The latest behaviours: embeddings (R, l, 2 dim) and mask (R, l), l at most `count`."""
        rows, kind, age = (column[:, :count] for column in (self.batch.history, self.batch.kind, self.batch.age))
        return self.at_behaviours(rows, kind, age), rows > 0

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """(R, L, d) of the behaviours → (R, d), their mean; zero without any."""
        return (values * self.mask[..., None]).sum(1) / self.mask.sum(1, keepdim=True).clamp(min=1)

    @cached_property
    def target_vector(self) -> torch.Tensor:
        """(R, K, D) vectors of the candidates."""
        return self.content(self.batch.item)

    @cached_property
    def behaviour_vectors(self) -> torch.Tensor:
        """(R, L, D) vectors of the behaviours."""
        return self.content(self.batch.history)

    @cached_property
    def query_vector(self) -> torch.Tensor:
        """(R, D) vectors of the queries; zero where nothing was asked."""
        return self.content(self.batch.query)

    @cached_property
    def similarity(self) -> torch.Tensor:
        """(R, K, L) cosines of candidates and behaviours."""
        return self.target_vector @ self.behaviour_vectors.transpose(1, 2)

    @cached_property
    def query_similarity(self) -> torch.Tensor:
        """(R, K, 1) cosines of candidates and the query; zero where nothing was asked."""
        return self.target_vector @ self.query_vector[:, :, None]


def _table(size: int, dim: int) -> nn.Embedding:
    table = nn.Embedding(size, dim)
    nn.init.normal_(table.weight, std=STD)
    return table
