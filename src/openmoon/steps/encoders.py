"""What `openmoon benchmark` can measure: untuned trunks, saved encoders, sentence-transformers models, tables of vectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from openmoon.config import EncoderConfig
from openmoon.data.image_cache import ImageCache
from openmoon.data.images import load_image
from openmoon.errors import UserError
from openmoon.evaluation.benchmark.retrieval import BASELINES
from openmoon.evaluation.benchmark.system import System
from openmoon.io import content_hash, file_hash
from openmoon.models.encoder import ProductEncoder, weights_of
from openmoon.serving.vectors import iter_vectors
from openmoon.steps.systems import CachedEncode, untuned_system

UNTUNED = "untuned"
Pictures = Callable[[int], ImageCache]
"""Side in pixels → the suite's pictures, decoded."""


def split_name(argument: str) -> tuple[str, str]:
    """`NAME=ENCODER` or `ENCODER` → its name in tables, and what it is: `runs/x/posttrain/encoder` is called x/posttrain."""
    name, equals, source = argument.partition("=")
    if equals and name and source and "/" not in name:
        return name, source
    path = Path(argument)
    if path.suffix == ".parquet":
        return path.stem, argument
    parts = [part for part in path.parts if part not in ("/", "..", "encoder")]
    return "/".join(parts[-2:]) or argument, argument


def named_sources(arguments: Sequence[str]) -> dict[str, str]:
    """Name → what it is, for every ENCODER argument. Raises `UserError` where two have one name, or it is a baseline's."""
    found: dict[str, str] = {}
    for argument in arguments:
        name, source = split_name(argument)
        if name in found or name in BASELINES:
            taken = "a baseline is called so" if name in BASELINES else f"{found[name]} is called so too"
            raise UserError(f"benchmark: {argument}: would be called {name!r}, but {taken}; write NAME={source}.")
        found[name] = source
    return found


def is_saved_encoder(source: str) -> bool:
    """Whether it is a folder that `ProductEncoder.save_pretrained` wrote."""
    try:
        config = json.loads((Path(source) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and {"format", "encoder"} <= set(config)


def open_system(name: str, source: str, untuned: EncoderConfig, pictures: Pictures, scratch: Path) -> System:
    """The system that `source` names; `untuned` are the trunks that the word untuned stands for.

    Raises `UserError` when it is none of the known kinds, or cannot be read.
    """
    if source == UNTUNED:
        image = f"{untuned.image.trunk} at {untuned.image.size} px"
        facts = {"kind": "untuned trunks", "image": image, "text": untuned.text.trunk}
        return System(name, untuned_system(untuned, pictures(untuned.image.size), scratch), facts=facts)
    if is_saved_encoder(source):
        encoder = ProductEncoder.from_pretrained(source)
        facts = {"kind": "encoder", "source": source, "fingerprint": encoder.fingerprint(), "dimensions": str(encoder.dim)}
        return System(name, CachedEncode(encoder, pictures(encoder.image_size), scratch), facts=facts)
    if source.endswith(".parquet"):
        table = VectorLookup(Path(source))
        return System(name, table=table, facts={"kind": "vectors", "source": source, "hash": file_hash(Path(source))[:12]})
    model = SentenceEncode(source)
    return System(name, model, facts={"kind": "sentence-transformers", "source": source, **model.facts})


class VectorLookup:
    """`Lookup` in a table of vectors, ours or any with product_id and vector. Rows that are not asked for are not kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        next(iter_vectors(path, rows=1), None)  # a table that cannot be read is said at once

    def __call__(self, product_ids: Sequence[str]) -> np.ndarray:
        rows = {name: row for row, name in enumerate(product_ids)}
        vectors: np.ndarray | None = None
        found = np.zeros(len(rows), bool)
        for ids, chunk in iter_vectors(self.path):
            if vectors is None:
                vectors = np.empty((len(rows), chunk.shape[1]), np.float32)
            here = [(rows[name], place) for place, name in enumerate(ids) if name in rows]
            if here:
                to, of = np.array(here).T
                vectors[to], found[to] = chunk[of], True
        if vectors is None or not found.all():
            missing = product_ids[int(np.flatnonzero(~found)[0])]
            raise UserError(
                f"{self.path}: has no vector of {(~found).sum():,} of the {len(rows):,} products that are measured, such as "
                f"{missing!r}; all systems are measured on the same products, embed these too."
            )
        if not np.isfinite(vectors).all():
            raise UserError(f"{self.path}: vectors hold NaN or infinity; what made them broke them.")
        return vectors


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
            part = self._vectors(kind, [inputs[row] for row in rows])
            vectors = np.empty((len(inputs), part.shape[1]), np.float32) if vectors is None else vectors
            vectors[rows] = part
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
    from PIL import Image

    return Image.fromarray(load_image(Path(path), None))


def _load_sentence_transformer(source: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise UserError(
            f"benchmark: {source!r} is neither a saved encoder, a .parquet table nor {UNTUNED!r}; other models are loaded by "
            "sentence-transformers, which is not installed (pip install sentence-transformers)."
        ) from error
    try:
        return SentenceTransformer(source)
    except Exception as error:  # it raises almost anything for what is not a model
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"benchmark: {source!r} is neither a saved encoder, a .parquet table nor {UNTUNED!r}, and sentence-transformers "
            f"cannot load it ({reason})."
        ) from error
