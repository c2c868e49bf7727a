"""From the name of a model to the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from openmoon.config.ctr import CtrConfig
from openmoon.ctr.codes import Codebooks
from openmoon.ctr.content import Content, VectorRows
from openmoon.ctr.debias import AdjustedContent
from openmoon.ctr.entities import Entities
from openmoon.ctr.model import CtrModel
from openmoon.ctr.models import CONTENT_MODELS, ID_MODELS
from openmoon.ctr.models.cube import cube
from openmoon.ctr.models.inputs import Inputs
from openmoon.ctr.models.make import ContentModel, ContentNetwork, make, simtier_make
from openmoon.ctr.models.semantic_ids import semantic_ids
from openmoon.ctr.scene import Embeddings
from openmoon.ctr.vocabulary import Vocabulary


@dataclass(frozen=True)
class Parts:
    """What models are built on: the entities under a vocabulary and, for models that use them, vectors and codebooks."""

    entities: Entities
    vocabulary: Vocabulary
    config: CtrConfig
    rows: VectorRows | None = None
    codebooks: Codebooks | None = None

    def embeddings(self) -> Embeddings:
        """New id embeddings."""
        numbers = self.vocabulary.of_entities(self.entities)
        return Embeddings(numbers, self.entities.words, self.vocabulary.sizes(), self.config.dim)

    @property
    def vectors(self) -> VectorRows:
        """The vectors, of models that use them."""
        assert self.rows is not None, "a model that uses vectors is built with them"
        return self.rows

    def inputs(self) -> Inputs:
        """Widths."""
        return Inputs(self.config, self.rows.dim if self.rows else 0)


def uses_vectors(name: str) -> bool:
    """Whether a model reads the vectors table."""
    return name not in ID_MODELS


def build(name: str, parts: Parts, network: ContentNetwork | None = None) -> CtrModel:
    """A new model. `network` is MAKE's trained content network; without it MAKE gets a new one, to load weights into."""
    inputs, config = parts.inputs(), parts.config
    if name in ID_MODELS:
        return CtrModel(parts.embeddings(), None, list(ID_MODELS[name](inputs)), config)
    if name == "cube_debias":
        return CtrModel(parts.embeddings(), AdjustedContent(parts.vectors), cube(inputs), config)
    content = Content(parts.vectors)
    if name in ("make", "simtier_make"):
        compose = make if name == "make" else simtier_make
        interests = list(compose(inputs, network or ContentNetwork(inputs)))
    elif name == "semantic_ids":
        assert parts.codebooks is not None, "semantic ids are built with codebooks"
        interests = list(semantic_ids(inputs, parts.codebooks, entity_codes(parts.vectors, parts.codebooks)))
    else:
        interests = list((cube if name == "cube_ipw" else CONTENT_MODELS[name])(inputs))
    return CtrModel(parts.embeddings(), content, interests, config)


def build_content_model(parts: Parts) -> ContentModel:
    """MAKE's first stage."""
    return ContentModel(ContentNetwork(parts.inputs()), parts.embeddings(), Content(parts.vectors))


def entity_codes(rows: VectorRows, codebooks: Codebooks) -> np.ndarray:
    """(rows, levels) int64 codes from 1; 0 where there is no vector."""
    codes = codebooks.encode(rows.vectors.numpy()) + 1
    return np.where(rows.vectors.any(1).numpy()[:, None], codes, 0)


def adjusted_vectors(model: CtrModel, entities: Entities) -> np.ndarray:
    """(products, D) vectors as the model sees them: v, or v′ of the debiasing network."""
    assert model.content is not None
    with torch.inference_mode():
        return model.content(torch.arange(1, entities.first_query)).numpy()
