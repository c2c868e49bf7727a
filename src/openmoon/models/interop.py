"""A saved encoder is also a sentence-transformers model: `SentenceTransformer(folder, trust_remote_code=True)` gives the same
vectors. Without the flag sentence-transformers refuses modules that are not its own, as this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers.base.modules.input_module import InputModule
from torch import Tensor

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

    def preprocess(self, inputs: Any, prompt: str | None = None, **_: Any) -> dict[str, Tensor]:
        """Decode and tokenise a batch of B; `prompt` is put before texts.

        Every tensor has B rows, also where a modality is missing, so that losses with a gradient cache can cut batches into
        parts: input_ids and attention_mask (B, L), the mask empty without text; pixel_values (B, 1, S, S, 3) uint8, where the 1
        keeps a side of S pixels from being taken for L tokens; and has_image (B,).
        """
        batch = [as_input(value, index) for index, value in enumerate(inputs)]
        features: dict[str, Tensor] = {}
        if any(i.text for i in batch):
            ids = iter(self.encoder.text.tokenize([(prompt or "") + i.text for i in batch if i.text]))
            padded, mask = self.encoder.text.pad([next(ids) if i.text else [] for i in batch])
            features |= {"input_ids": padded, "attention_mask": mask}
        if any(i.image is not None for i in batch):
            size = self.encoder.image_size
            pixels = np.zeros((len(batch), 1, size, size, 3), np.uint8)
            for row, found in enumerate(batch):
                if found.image is not None:
                    pixels[row, 0] = load_picture(found.image, size)
            features["pixel_values"] = torch.from_numpy(pixels)
            features["has_image"] = torch.tensor([i.image is not None for i in batch])
        return features

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Adds `sentence_embedding` (B, dim) to what `preprocess` made of the inputs."""
        image = text = None
        if "has_image" in features and features["has_image"].any():
            rows = features["has_image"].nonzero()[:, 0]
            values = self.encoder.image(features["pixel_values"][rows, 0].permute(0, 3, 1, 2))
            image = Tokens.whole(values).spread(rows.tolist(), len(features["has_image"]))
        if "attention_mask" in features and features["attention_mask"].any():
            mask = features["attention_mask"]
            rows = mask.any(1).nonzero()[:, 0]
            values = self.encoder.text(features["input_ids"][rows], mask[rows])
            text = Tokens(values, mask[rows]).spread(rows.tolist(), len(mask))
        features["sentence_embedding"] = self.encoder(image, text)
        return features

    def get_embedding_dimension(self) -> int:
        return self.encoder.dim

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Into a folder of sentence-transformers, which writes its own files there."""
        self.encoder.write_into(Path(output_path))

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", *_: Any, **__: Any) -> SentenceTransformerModule:
        return cls(ProductEncoder.from_pretrained(Path(model_name_or_path) / subfolder))
