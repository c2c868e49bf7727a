"""Modality-driven mixture of experts: tokens of a text, a picture, or both are shared out among feed-forward networks.

MOON2.0 puts experts in place of FFNs, routed with a view to the modalities that an input is composed of. Reconstructed: 4
experts of which 2 see each token, in the later half of the layers (`encoder.fusion.experts_in`), starting as copies of the dense
FFN, so that the encoder first computes what it did before ("upcycling", Komatsuzaki et al. 2023). Ours: each composition leans to
experts of its own from the start, since copies that see the same tokens stay copies (`encoder.fusion.router`).
"""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

COMPOSITIONS = ("text", "image", "text+image")
LEAN = 1.0  # of the routing logits: how far they differ between experts at the start, by composition alone


class Routing(NamedTuple):
    """How the tokens of each input were shared out: mean `probability` of the router, `load`, the share of the tokens that
    each expert got, and `gate`, the mean weight of its answers; all (B, Z), rows sum to 1."""

    probability: Tensor
    load: Tensor
    gate: Tensor


PROBABILITY, LOAD, GATE = range(3)  # places of its parts in what the fusion stacks


class Experts(nn.Module):
    """`count` copies of the feed-forward network `dense`, `top` of which see each token, by their routing weights.

    The router sees the token and, `by_modality`, what its input is composed of: `G = softmax(W_g·h + u_composition)`; otherwise u
    is 0. u starts as `lean` times cosines of compositions and experts. The weights of the `top` are normalised to sum 1;
    of a single one the gradient is that of its logarithm, from which the router learns all the same [ours].
    """

    composition: Tensor

    def __init__(self, dense: nn.Module, width: int, count: int, top: int, by_modality: bool = True, lean: float = LEAN) -> None:
        super().__init__()
        self.top = top
        self.router = nn.Linear(width, count, bias=False)
        if by_modality:
            self.composition = nn.Parameter(lean * _spread(count))
        else:
            self.register_buffer("composition", torch.zeros(len(COMPOSITIONS), count), persistent=False)
        self.experts = nn.ModuleList(copy.deepcopy(dense) for _ in range(count))
        nn.init.normal_(self.router.weight, std=0.02)

    def forward(self, x: Tensor, mask: Tensor, composition: Tensor) -> tuple[Tensor, Routing]:
        """(B, T, width), zero where `mask` (B, T) is false, and the routing. `composition` (B,) indexes `COMPOSITIONS`.

        Tokens are sorted by expert, so each expert does one matrix product over all that it got, padding left out.
        """
        row, place = mask.nonzero(as_tuple=True)
        tokens = x[row, place]
        probability = (self.router(tokens) + self.composition[composition[row]]).softmax(-1)
        weight, chosen = probability.topk(self.top, dim=-1)
        weight = (weight / (weight.detach() if self.top == 1 else weight.sum(-1, keepdim=True))).flatten()
        counts = chosen.flatten().bincount(minlength=len(self.experts))
        by_expert = chosen.flatten().argsort(stable=True)
        mixed = torch.zeros_like(tokens)
        for expert, part in zip(self.experts, by_expert.split(counts.tolist()), strict=True):
            token = part // self.top
            mixed = mixed.index_add(0, token, expert(tokens[token]) * weight[part, None])
        out = torch.zeros_like(x).index_put((row, place), mixed)
        load = torch.zeros_like(probability).scatter(1, chosen, 1 / self.top)
        gate = torch.zeros_like(probability).scatter(1, chosen, weight.view_as(chosen))
        return out, Routing(*(_mean_by_row(values, row, mask) for values in (probability, load, gate)))


def _spread(count: int) -> Tensor:
    """(3, count): cosines between compositions and experts, both evenly spaced on a circle."""
    angle = torch.arange(len(COMPOSITIONS))[:, None] / len(COMPOSITIONS) - torch.arange(count) / count
    return torch.cos(2 * math.pi * angle)


def _mean_by_row(values: Tensor, row: Tensor, mask: Tensor) -> Tensor:
    total = values.new_zeros(len(mask), values.shape[1]).index_add(0, row, values)
    return total / mask.sum(1, keepdim=True).clamp(min=1)
