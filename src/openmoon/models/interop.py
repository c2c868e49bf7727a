"""A saved encoder is also a sentence-transformers model: `SentenceTransformer(folder)` gives the same vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers.base.modules.input_module import InputModule

from openmoon.models.encode import load_picture
from openmoon.models.encoder import ProductEncoder
from openmoon.models.inputs import as_input
from openmoon.models.tokens import Tokens


class SentenceTransformerModule(InputModule):
    """The whole encoder as the one module of a `SentenceTransformer`; trainable there as well."""

    def __init__(self, encoder: ProductEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    @property
    def modalities(self) -> list[Any]:
        return ["text", "image", ("image", "text")]

    @property
    def max_seq_length(self) -> int:
        return self.encoder.text.max_tokens

    def preprocess(self, inputs: Any, prompt: str | None = None, **_: Any) -> dict[str, Any]:
        """Decode and tokenise a batch; `prompt` is put before texts."""
        batch = [as_input(value, index) for index, value in enumerate(inputs)]
        texts = [(prompt or "") + i.text if i.text else None for i in batch]
        ids = self.encoder.text.tokenize([t for t in texts if t] or [""])
        padded, mask = self.encoder.text.pad(ids)
        pictures = [load_picture(i.image, self.encoder.image_size) for i in batch if i.image is not None]
        features: dict[str, Any] = {
            "text_rows": [r for r, t in enumerate(texts) if t],
            "input_ids": padded,
            "attention_mask": mask,
        }
        if pictures:
            features["pixel_values"] = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
        features["image_rows"] = [r for r, i in enumerate(batch) if i.image is not None]
        features["batch"] = len(batch)
        return features

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        image = text = None
        size = features["batch"]
        if features["image_rows"]:
            values = self.encoder.image(features["pixel_values"].float())
            image = Tokens(values, values.new_ones(values.shape[:2], dtype=torch.bool)).spread(
                features["image_rows"], size
            )
        if features["text_rows"]:
            values = self.encoder.text(features["input_ids"], features["attention_mask"])
            text = Tokens(values, features["attention_mask"]).spread(features["text_rows"], size)
        features["sentence_embedding"] = self.encoder(image, text)
        return features

    def get_embedding_dimension(self) -> int:
        return self.encoder.dim

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        self.encoder.save_pretrained(output_path)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", *_: Any, **__: Any) -> SentenceTransformerModule:
        return cls(ProductEncoder.from_pretrained(Path(model_name_or_path) / subfolder))
