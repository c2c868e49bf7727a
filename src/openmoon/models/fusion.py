"""The fusion transformer: tokens of both modalities attend to each other and are pooled to one vector.

Reconstructed: the MOON papers pool the last hidden states of a multimodal LLM; the compact encoder does the same over
the tokens of two small pretrained trunks. Residual branches start at zero and projections are orthogonal, so a new encoder is a
projection of its trunks: a random one, until `principal.start_from_data` takes it from a catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openmoon.models.tokens import Tokens, masked_mean

IMAGE, TEXT = 0, 1


class FeedForward(nn.Module):
    """The dense FFN of a fusion layer: (B, T, width) → (B, T, width)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x)))


class FusionLayer(nn.Module):
    """Pre-norm self-attention and feed-forward; the feed-forward part is handed in, so experts can take its place."""

    def __init__(self, width: int, heads: int, feed_forward: nn.Module, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.feed_forward = feed_forward
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + F.dropout(self._attention(self.norm_attention(x), mask), self.dropout, self.training)
        return x + F.dropout(self.feed_forward(self.norm_feed_forward(x)), self.dropout, self.training)

    def _attention(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        return self.out(mixed.transpose(1, 2).flatten(2))


class Fusion(nn.Module):
    """Image tokens and text tokens → (B, dim), not normalised.

    `pooling="modality"` averages the tokens of each modality and then the modalities, so that 49 image tokens do not
    drown 8 text tokens; `"token"` averages all tokens alike (the papers' pooling).
    """

    def __init__(
        self,
        image_dim: int,
        text_dim: int,
        width: int,
        dim: int,
        layers: list[FusionLayer],
        pooling: Literal["modality", "token"] = "modality",
    ) -> None:
        super().__init__()
        self.image_in = nn.Sequential(nn.LayerNorm(image_dim), nn.Linear(image_dim, width))
        self.text_in = nn.Sequential(nn.LayerNorm(text_dim), nn.Linear(text_dim, width))
        self.kind = nn.Parameter(torch.zeros(2, width))
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(width, dim)
        self.pooling = pooling
        for linear in (self.image_in[1], self.text_in[1], self.head):
            nn.init.orthogonal_(linear.weight)  # type: ignore[arg-type]
            nn.init.zeros_(linear.bias)  # type: ignore[arg-type]

    def forward(self, image: Tokens | None, text: Tokens | None) -> Tensor:
        parts, masks = [], []
        for kind, tokens, project in ((IMAGE, image, self.image_in), (TEXT, text, self.text_in)):
            if tokens is not None:
                parts.append(project(tokens.values.to(self.kind.dtype)) + self.kind[kind])
                masks.append(tokens.mask)
        x, mask = torch.cat(parts, 1), torch.cat(masks, 1)
        for layer in self.layers:
            x = layer(x, mask)
        return self.head(self._pool(x, masks))

    def _pool(self, x: Tensor, masks: list[Tensor]) -> Tensor:
        if self.pooling == "token":
            return masked_mean(x, torch.cat(masks, 1))
        means = [masked_mean(part, m) for part, m in zip(x.split([m.shape[1] for m in masks], 1), masks, strict=True)]
        present = torch.stack([m.any(1) for m in masks]).to(x.dtype)
        return torch.stack(means).sum(0) / present.sum(0)[:, None]


def build_fusion(
    image_dim: int,
    text_dim: int,
    *,
    width: int,
    depth: int,
    heads: int,
    hidden: int,
    dim: int,
    dropout: float = 0.0,
    pooling: Literal["modality", "token"] = "modality",
    feed_forward: Callable[[int, int], nn.Module] = FeedForward,
) -> Fusion:
    """A fusion transformer of `depth` layers whose FFNs come from `feed_forward(width, hidden)`."""
    layers = [FusionLayer(width, heads, feed_forward(width, hidden), dropout) for _ in range(depth)]
    return Fusion(image_dim, text_dim, width, dim, layers, pooling)
