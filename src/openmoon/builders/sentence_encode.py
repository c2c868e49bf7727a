"""Models of sentence-transformers as encoders that can be measured."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from openmoon.data.images import load_image
from openmoon.device import compute_device
from openmoon.errors import UserError
from openmoon.io import content_hash
from openmoon.models.encoder import weights_of

PICTURES = 32  # decoded at once: the models want them whole


class SentenceEncode:
    """`Encode` of a model that `SentenceTransformer` loads.

    It reads what the model says it reads. Where it takes texts and pictures but not both at once, as CLIP does, both are the
    normalised mean of the two vectors.
    """

    def __init__(self, source: str) -> None:
        self.model = _load_sentence_transformer(source)
        text, image = (self.model.supports(part) for part in ("text", "image"))
        self._at_once = any(self.model.supports(pair) for pair in (("image", "text"), ("text", "image")))
        kinds = {frozenset({"text"}): text, frozenset({"image"}): image, frozenset({"text", "image"}): text and image}
        self.reads = {kind for kind, can in kinds.items() if can}
        if not self.reads:
            raise UserError(f"{source}: reads neither texts nor pictures, but {', '.join(map(str, self.model.modalities))}.")

    @cached_property
    def facts(self) -> dict[str, str]:
        import sentence_transformers

        both = "at once" if self._at_once else "mean of the two vectors"
        return {
            "fingerprint": content_hash(*weights_of(self.model.state_dict()))[:12],
            "sentence-transformers": sentence_transformers.__version__,
            "text and picture": both if frozenset({"text", "image"}) in self.reads else "not read",
        }  # fmt: skip

    def __call__(self, inputs: list[dict[str, str]]) -> np.ndarray:
        kinds = [frozenset(one) for one in inputs]
        vectors: np.ndarray | None = None
        for kind in dict.fromkeys(kinds):
            rows = [row for row, found in enumerate(kinds) if found == kind]
            step = PICTURES if "image" in kind else len(rows)
            for some in (rows[start : start + step] for start in range(0, len(rows), step)):
                part = self._vectors(kind, [inputs[row] for row in some])
                vectors = np.empty((len(inputs), part.shape[1]), np.float32) if vectors is None else vectors
                vectors[some] = part
        assert vectors is not None
        return vectors

    def _vectors(self, kind: frozenset[str], inputs: list[dict[str, str]]) -> np.ndarray:
        if len(kind) == 2 and self._at_once:
            return self._encode([{"text": one["text"], "image": _picture(one["image"])} for one in inputs])
        parts = [
            self._encode([one["text"] if part == "text" else _picture(one["image"]) for one in inputs]) for part in sorted(kind)
        ]
        mean = np.mean(parts, axis=0)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True).clip(1e-12)

    def _encode(self, inputs: list[Any]) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(self.model.encode(inputs, normalize_embeddings=True, show_progress_bar=False), np.float32)


def _picture(path: str) -> Any:
    return Image.fromarray(load_image(Path(path), None))


def _load_sentence_transformer(source: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise UserError(
            f"benchmark: {source!r} is neither a saved encoder, a .parquet table nor 'untuned'; other models are loaded by "
            "sentence-transformers, which is not installed (pip install sentence-transformers)."
        ) from error
    device = str(compute_device())
    try:
        return SentenceTransformer(source, device=device)
    except Exception as error:  # it raises almost anything for what is not a model
        reason = " ".join(str(error).split()).split(". ")[0][:200].rstrip(".")
        hint = "" if Path(source).exists() else " There is no such file or folder here; check the spelling."
        raise UserError(
            f"benchmark: {source!r} is neither a saved encoder, a .parquet table nor 'untuned', and sentence-transformers "
            f"cannot load it ({reason}).{hint}"
        ) from error
