"""`ProductEncoder`: text, picture or both → one L2-normalised Matryoshka vector (MOON post-training's shared encoder)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from openmoon.errors import UserError
from openmoon.io import atomic_path, content_hash, write_json
from openmoon.learnt import KEY, to_text
from openmoon.models.experts import LEAN, Experts
from openmoon.models.fusion import Fusion
from openmoon.models.image_trunk import ImageTrunk, build_image_trunk, save_image_trunk
from openmoon.models.text_trunk import TextTrunk, build_text_trunk, save_text_trunk
from openmoon.models.tokens import Tokens
from openmoon.models.undrawn import undrawn
from openmoon.runtime import cores

if TYPE_CHECKING:
    from openmoon.config import EncoderConfig

FORMAT = 1  # of the saved folder; raised when an older openmoon could not read a newer one


class ProductEncoder(nn.Module):
    """Two trunks and a fusion transformer. `dims` are the vector lengths that training supports, the largest last."""

    def __init__(self, image: ImageTrunk, text: TextTrunk, fusion: Fusion, config: EncoderConfig) -> None:
        super().__init__()
        self.image = image
        self.text = text
        self.fusion = fusion
        self.config = config
        self.dims = sorted(config.dims)

    @property
    def dim(self) -> int:
        """Length of a full vector."""
        return self.dims[-1]

    @property
    def image_size(self) -> int:
        """Side of the square picture that the image trunk sees, in pixels."""
        return self.config.image.size

    def forward(self, image: Tokens | None, text: Tokens | None) -> Tensor:
        """Trunk tokens of a batch → (B, dim) unit vectors. A row without tokens of a modality lacks it."""
        return self.routed(image, text)[0]

    def routed(self, image: Tokens | None, text: Tokens | None) -> tuple[Tensor, Tensor | None]:
        """`forward`, and how the tokens were shared out among experts, (B, 3, L, Z) as in `Fusion`; None if it is dense."""
        vectors, routing = self.fusion(image, text)
        return F.normalize(vectors, dim=-1), routing

    def encode(
        self,
        inputs: Sequence[Any],
        batch_size: int = 32,
        truncate_dim: int | None = None,
        workers: int | None = None,
    ) -> np.ndarray:
        """Vectors of `inputs`, (N, dim) float32, L2-normalised, in order.

        Each input is a text (str), a picture (Path, PIL image, uint8 array) or {"text": …, "image": …} with either part
        missing. A large JPEG file is decoded at a fraction of its size: of the opened picture the vector is a little another one.
        `truncate_dim` keeps the first dimensions (Matryoshka) and normalises again; `workers` threads decode pictures,
        and on a CPU compute as well (default: all of torch's, at most 8). Raises `UserError` naming the input that is empty or
        unreadable, and for one input that is not in a list.
        """
        from openmoon.models.encode import encode_stream
        from openmoon.models.inputs import as_input

        if truncate_dim is not None and not 1 <= truncate_dim <= self.dim:
            raise UserError(f"truncate_dim: {truncate_dim} is outside 1..{self.dim}; trained lengths are {self.dims}.")
        if batch_size < 1:
            raise UserError(f"batch_size: {batch_size} inputs at a time; expected at least 1.")
        if isinstance(inputs, str | bytes | Path | Mapping):
            raise UserError("inputs: expected a list of them; for one write encode([one])[0].")
        checked = (as_input(value, index) for index, value in enumerate(inputs))
        stream = encode_stream(self, checked, batch_size=batch_size, workers=workers)
        vectors = np.concatenate([np.empty((0, self.dim), np.float32), *stream])
        return truncate(vectors, truncate_dim) if truncate_dim else vectors

    def fingerprint(self, parts: tuple[str, ...] = ("image", "text", "fusion")) -> str:
        """Identity of the settings and the weights of `parts`: two encoders that share the whole one make the same vectors."""
        weights = weights_of({name: t for name, t in self.state_dict().items() if name.startswith(parts)})
        return content_hash(self.config.model_dump_json(exclude_defaults=True), *weights)[:12]

    def save_pretrained(self, folder: str | Path, learnt_until: datetime | None = None) -> None:
        """Write config.json, model.safetensors, tokenizer, model card and sentence-transformers' files, atomically.

        `learnt_until` is the latest event that the weights have learnt from (`openmoon.learnt`), `NO_BEHAVIOUR` for none; by
        default config.json says nothing of it, since whoever trained the weights last must know. Raises `UserError` where the
        disk is full and for a folder that holds something else than a saved encoder, which is left alone.
        """
        from openmoon.models.card import write_card, write_sentence_transformers_files

        folder = Path(folder)
        require_place(folder)
        with atomic_path(folder) as out:
            out.mkdir()
            self.write_into(out, {} if learnt_until is None else {KEY: to_text(learnt_until) or None})
            write_sentence_transformers_files(out)
            write_card(self, out)

    def write_into(self, folder: Path, facts: Mapping[str, str | None] | None = None) -> None:
        """Write config.json, where `facts` are added, weights, trunks and tokenizer into a folder that is there; what else it
        holds stays."""
        from safetensors.torch import save

        about = {"format": FORMAT, "fingerprint": self.fingerprint(), **(facts or {}), "encoder": self.config.model_dump()}
        write_json(folder / "config.json", about)
        weights = {name: t.contiguous() for name, t in self.state_dict().items()}
        (folder / "model.safetensors").write_bytes(save(weights))  # save_file does not raise OSError on a full disk
        save_image_trunk(self.image, folder)
        save_text_trunk(self.text, folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> ProductEncoder:
        """Load an encoder that `save_pretrained` wrote. Raises `UserError` for another folder or format version."""
        from pydantic import ValidationError
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from openmoon.config import EncoderConfig

        folder = Path(folder)
        path = folder / "config.json"
        if not path.is_file():
            raise UserError(f"{folder}: not a saved encoder (config.json is missing); expected a folder written by "
                            "`openmoon pretrain` or `openmoon posttrain`, such as runs/sample/posttrain/encoder.")  # fmt: skip
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path}: not JSON ({error}); the encoder is damaged, save or train it again.") from error
        found = saved.get("format") if isinstance(saved, dict) else None
        if found != FORMAT:
            raise UserError(f"{path}: format is {found!r}, this openmoon reads {FORMAT}; "
                            "install the version that wrote it, or train again.")  # fmt: skip
        try:
            config = EncoderConfig.model_validate(saved.get("encoder"))
        except ValidationError as error:
            raise UserError(f"{path}: the section encoder is not one that this openmoon knows; install the version that wrote "
                            "it, or train again.") from error  # fmt: skip
        with undrawn():
            encoder = build_encoder(config, folder)
        try:
            encoder.load_state_dict(load_file(folder / "model.safetensors"))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{folder}: the encoder is damaged ({reason}); save or train it again.") from error
        return encoder.eval()


def build_encoder(config: EncoderConfig, saved: Path | None = None) -> ProductEncoder:
    """A new encoder on pretrained trunks, or (`saved`) the architecture of a saved one, its weights still to be loaded.

    Raises `UserError` for a trunk that cannot be had.
    """
    image = build_image_trunk(config.image.trunk, config.image.grid, saved)
    text = build_text_trunk(config.text.trunk, config.text.max_tokens, saved)
    f = config.fusion
    fusion = Fusion(
        image.dim, text.dim, width=f.width, depth=f.layers, heads=f.heads, hidden=int(f.width * f.expansion),
        dim=max(config.dims), dropout=f.dropout, pooling=f.pooling,
    )  # fmt: skip
    encoder = ProductEncoder(image, text, fusion, config.dense())
    return upcycled(encoder, config).eval()


def upcycled(encoder: ProductEncoder, config: EncoderConfig) -> ProductEncoder:
    """The dense `encoder` with the experts that `config` asks for, if any; it computes the same until it is trained."""
    fusion = config.fusion
    if fusion.experts:
        first = fusion.layers // 2 if fusion.experts_in == "later" else 0
        for layer in list(encoder.fusion.layers)[first:]:
            dense: Any = layer.feed_forward
            layer.feed_forward = Experts(
                dense, fusion.width, fusion.experts, fusion.top,
                by_modality=fusion.router != "token", lean=LEAN if fusion.router == "modality" else 0.0,
            )
    encoder.config = config
    return encoder


def require_place(folder: Path) -> None:
    """`UserError` where `folder` holds something that is not a saved encoder, which saving one would overwrite."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "model.safetensors").is_file():
        raise UserError(f"{folder}: the folder holds something that is not a saved encoder; choose an empty or a new one.")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file, where a folder for the encoder is to be; remove it, or choose another place.")


def truncate(vectors: np.ndarray, dim: int) -> np.ndarray:
    """The first `dim` dimensions, normalised again."""
    short = vectors[:, :dim]
    return short / np.linalg.norm(short, axis=1, keepdims=True).clip(1e-12)


def weights_of(tensors: Mapping[str, Tensor]) -> list[str]:
    """Name, shape and checksum of each tensor: what tells one model from another."""
    with ThreadPoolExecutor(cores()) as pool:  # hashing leaves the interpreter to the others
        checksums = list(pool.map(_checksum, tensors.values()))
    return [f"{name}{tuple(t.shape)}{checksum}" for (name, t), checksum in zip(tensors.items(), checksums, strict=True)]


def _checksum(tensor: Tensor) -> str:
    return content_hash(tensor.detach().contiguous().cpu().numpy().reshape(-1).view(np.uint8).data)
