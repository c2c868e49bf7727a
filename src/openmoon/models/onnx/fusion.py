"""The fusion transformer as an ONNX graph, so that a whole encoder can be served without torch."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openmoon.models.encoder import ProductEncoder
from openmoon.models.experts import Experts, Routing
from openmoon.models.fusion import Fusion
from openmoon.models.onnx.graph import Run, export
from openmoon.models.tokens import Tokens

TOKENS = {0: "batch", 1: "image_length"}, {0: "batch", 1: "text_length"}


class OnnxFusion(nn.Module):
    """`Fusion` as a graph that `run` computes, on the CPU, without gradient. A missing modality goes in as one masked token."""

    def __init__(self, run: Run, image_dim: int, text_dim: int) -> None:
        super().__init__()
        self.dims = image_dim, text_dim
        self._run = run
        self._device = nn.Parameter(torch.empty(0), requires_grad=False)  # says where the model is: on the CPU

    def forward(self, image: Tokens | None, text: Tokens | None) -> tuple[Tensor, None]:
        """Vectors (B, dim) of unit length as `Fusion.forward`, whose routing the graph does not tell: None."""
        batch = len(next(tokens for tokens in (image, text) if tokens is not None).mask)
        feed: dict[str, np.ndarray] = {}
        for name, tokens, dim in zip(("image", "text"), (image, text), self.dims, strict=True):
            given = tokens or Tokens(torch.zeros(batch, 1, dim), torch.zeros(batch, 1, dtype=torch.bool))
            feed |= {f"{name}_tokens": given.values.float().numpy(), f"{name}_mask": given.mask.numpy()}
        return torch.from_numpy(self._run(feed)), None


class _Graph(nn.Module):
    def __init__(self, fusion: Fusion) -> None:
        super().__init__()
        self.fusion = fusion

    def forward(self, image: Tensor, image_mask: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
        return F.normalize(self.fusion(Tokens(image, image_mask), Tokens(text, text_mask))[0], dim=-1)


class _EveryExpert(nn.Module):
    """What `Experts` computes, without sorting tokens: every expert sees all of them and unchosen ones weigh nothing."""

    def __init__(self, routed: Experts) -> None:
        super().__init__()
        self.routed = routed

    def forward(self, x: Tensor, mask: Tensor, composition: Tensor) -> tuple[Tensor, Routing | None]:
        logits = self.routed.router(x) + self.routed.composition[composition][:, None]
        weight, chosen = logits.softmax(-1).topk(self.routed.top, dim=-1)
        gates = torch.zeros_like(logits).scatter(-1, chosen, weight / weight.sum(-1, keepdim=True))
        outputs = torch.stack([expert(x) for expert in self.routed.experts], -1)
        return (outputs * gates[:, :, None, :]).sum(-1) * mask[:, :, None], None


def export_fusion(encoder: ProductEncoder, path: Path) -> None:
    """image_tokens (B, Ti, Di), image_mask (B, Ti), text_tokens (B, Tt, Dt), text_mask (B, Tt) → vectors (B, dim), unit length.

    A row without a modality has an empty mask there.
    """
    fusion = copy.deepcopy(encoder.fusion)
    for layer in fusion.layers:
        if isinstance(layer.feed_forward, Experts):
            layer.feed_forward = _EveryExpert(layer.feed_forward)
    example = (torch.randn(2, 3, encoder.image.dim), torch.tensor([[True] * 3, [False] * 3]), torch.randn(2, 4, encoder.text.dim),
               torch.tensor([[True] * 4] * 2))  # fmt: skip
    inputs = {"image_tokens": TOKENS[0], "image_mask": TOKENS[0], "text_tokens": TOKENS[1], "text_mask": TOKENS[1]}
    export(_Graph(fusion), example, path, inputs, "vectors", {0: "batch"})
