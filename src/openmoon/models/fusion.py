"""The fusion transformer: tokens of both modalities attend to each other and are pooled to one vector.

Reconstructed: the MOON papers pool the last hidden states of a multimodal LLM; the compact encoder does the same over
the tokens of two small pretrained trunks. Residual branches start at zero and projections are orthogonal, so a new encoder is a
projection of its trunks: a random one, until `principal.start_from_data` takes it from a catalogue.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openmoon.models.experts import Routing
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
    """Pre-norm self-attention and feed-forward, which is dense or, after `encoder.upcycled`, a mixture of experts."""

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

    def forward(self, x: Tensor, mask: Tensor, composition: Tensor) -> tuple[Tensor, Routing | None]:
        """Tokens (B, T, width), and how experts shared them. `composition` (B,) indexes `experts.COMPOSITIONS`."""
        x = x + F.dropout(self._attention(self.norm_attention(x), mask), self.dropout, self.training)
        normed, routing = self.norm_feed_forward(x), None
        if isinstance(self.feed_forward, FeedForward):
            change = self.feed_forward(normed)
        else:  # experts
            change, routing = self.feed_forward(normed, mask, composition)
        return x + F.dropout(change, self.dropout, self.training), routing

    def _attention(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        return self.out(mixed.transpose(1, 2).flatten(2))


class Fusion(nn.Module):
    """Image tokens and text tokens → (B, dim), not normalised.

    `pooling="modality"` averages the tokens of each modality and then the modalities, so that 49 image tokens do not
    drown 8 text tokens; `"token"` averages all tokens alike (the papers' pooling). `depth` layers of `width`, of `heads` heads
    and dense FFNs `hidden` wide; `models.encoder.upcycled` puts experts in their place.
    """

    def __init__(
        self,
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
    ) -> None:
        super().__init__()
        layers = [FusionLayer(width, heads, FeedForward(width, hidden), dropout) for _ in range(depth)]
        self.image_in = nn.Sequential(nn.LayerNorm(image_dim), nn.Linear(image_dim, width))
        self.text_in = nn.Sequential(nn.LayerNorm(text_dim), nn.Linear(text_dim, width))
        self.kind = nn.Parameter(torch.zeros(2, width))
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(width, dim)
        self.pooling = pooling
        for linear in (self.image_in[1], self.text_in[1], self.head):
            nn.init.orthogonal_(linear.weight)  # type: ignore[arg-type]
            nn.init.zeros_(linear.bias)  # type: ignore[arg-type]

    def forward(self, image: Tokens | None, text: Tokens | None) -> tuple[Tensor, Tensor | None]:
        """Vectors (B, dim), and of L layers with Z experts the routing (B, 3, L, Z): `Routing` of every layer."""
        parts, masks = [], []
        for kind, tokens, project in ((IMAGE, image, self.image_in), (TEXT, text, self.text_in)):
            if tokens is not None:
                parts.append(_projected(project, tokens.values.to(self.kind.dtype), self.kind[kind]))
                masks.append(tokens.mask)
        x, mask = torch.cat(parts, 1), torch.cat(masks, 1)
        composition = _composition(image, text)
        routings = []
        for layer in self.layers:
            x, routing = layer(x, mask, composition)
            if routing is not None:
                routings.append(torch.stack(routing, 1))
        return self.head(self._pool(x, masks)), torch.stack(routings, 2) if routings else None

    def _pool(self, x: Tensor, masks: list[Tensor]) -> Tensor:
        if self.pooling == "token":
            return masked_mean(x, torch.cat(masks, 1))
        means = [masked_mean(part, m) for part, m in zip(x.split([m.shape[1] for m in masks], 1), masks, strict=True)]
        present = torch.stack([m.any(1) for m in masks]).to(x.dtype)
        return torch.stack(means).sum(0) / present.sum(0)[:, None]


def _projected(project: nn.Sequential, values: Tensor, shift: Tensor) -> Tensor:
    """`project(values) + shift`. Scale and shift of the norm are joined with the matrix, so that the gradient of a batch needs
    nothing of the width of the trunk but the product that the matrix's own gradient is."""
    norm: Any = project[0]
    linear: Any = project[1]
    normed = F.layer_norm(values, norm.normalized_shape, eps=norm.eps)
    return F.linear(normed, linear.weight * norm.weight, linear.bias + (linear.weight * norm.bias).sum(1) + shift)


def _composition(image: Tokens | None, text: Tokens | None) -> Tensor:
    """(B,) index into `experts.COMPOSITIONS`: 0 text, 1 image, 2 both."""
    present = [tokens.mask.any(1).long() if tokens is not None else 0 for tokens in (text, image)]
    return torch.as_tensor(present[0] + 2 * present[1] - 1).clamp(min=0)
