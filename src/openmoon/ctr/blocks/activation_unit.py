"""DIN's activation unit in memory that does not grow with the number of (candidate, behaviour) pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

CACHE = 3 << 16  # numbers of the hidden layer that are made at once: they stay in the processor's cache
KEEP = 1 << 24  # a hidden layer up to so many numbers (64 MiB) is kept for the backward pass, a larger one is made again


class ActivationUnit(nn.Module):
    """An MLP scores every pair of behaviour b and candidate t from [b, t, b − t, b∘t] (Zhou et al. 2018).

    (R, L, d) behaviours, (R, K, d) candidates → scores (R, K, L). The first layer is folded: W·[b, t, b − t, b∘t] =
    (W₁ + W₃ + W₄∘t) b + (W₂ − W₃) t, so that candidates make weights, and behaviours are multiplied by these. The hidden layer,
    (R, L, K, hidden), is made in pieces; one larger than `KEEP` is never whole in memory.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(4 * dim, hidden)
        self.score = nn.Linear(hidden, 1)

    def forward(self, behaviours: Tensor, target: Tensor) -> Tensor:
        """See the class."""
        own, aim, gap, both = self.first.weight.chunk(4, 1)
        shared = target @ (aim - gap).T + self.first.bias
        scores = _PairScores.apply(behaviours, target, own + gap, both, shared, self.score.weight[0])
        return scores.transpose(1, 2) + self.score.bias


class _PairScores(torch.autograd.Function):
    """Behaviours b (R, L, d), candidates t (R, K, d), weights own, both (h, d), shared (R, K, h), out (h,) → (R, L, K):
    relu((own + both∘t) b + shared)·out."""

    @staticmethod
    def forward(ctx: Any, b: Tensor, t: Tensor, own: Tensor, both: Tensor, shared: Tensor, out: Tensor) -> Tensor:
        scores, kept = b.new_empty(*b.shape[:2], t.shape[1]), []
        keep = any(ctx.needs_input_grad) and scores.numel() * len(out) <= KEEP
        for rows, some in _pieces(scores.shape, len(out)):
            hidden = _hidden(b[rows, some], _weights(t[rows], own, both), shared[rows])
            scores[rows, some] = hidden @ out
            kept += [hidden] * keep
        ctx.save_for_backward(b, t, own, both, shared, out, *kept)
        return scores

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        b, t, own, both, shared, out, *kept = ctx.saved_tensors
        d_b, d_t, d_shared = torch.empty_like(b), torch.zeros_like(t), torch.zeros_like(shared)
        d_own, d_both, d_out = torch.zeros_like(own), torch.zeros_like(both), torch.zeros_like(out)
        for rows, some in _pieces(grad.shape, len(out)):
            weights = _weights(t[rows], own, both)
            hidden = kept.pop(0) if kept else _hidden(b[rows, some], weights, shared[rows])
            score = grad[rows, some].contiguous()
            d_out += hidden.view(-1, len(out)).T @ score.view(-1)
            d_hidden = torch.ops.aten.threshold_backward(score[..., None] * out, hidden, 0)  # of the ReLU
            d_shared[rows] += d_hidden.sum(1)
            d_hidden = d_hidden.flatten(2)
            d_b[rows, some] = d_hidden @ weights
            d_weights = (d_hidden.transpose(1, 2) @ b[rows, some]).view(*shared[rows].shape, -1)
            d_own += d_weights.sum((0, 1))
            d_t[rows] += (d_weights * both).sum(2)
            d_both += d_weights.mul_(t[rows][:, :, None]).sum((0, 1))
        return d_b, d_t, d_own, d_both, d_shared, d_out


def _weights(t: Tensor, own: Tensor, both: Tensor) -> Tensor:
    """What candidates (r, K, d) multiply behaviours by: (r, K h, d)."""
    return torch.addcmul(own, t[:, :, None], both).flatten(1, 2)


def _hidden(b: Tensor, weights: Tensor, shared: Tensor) -> Tensor:
    """The hidden layer (r, l, K, h) of behaviours (r, l, d)."""
    return torch.baddbmm(shared.flatten(1)[:, None], b, weights.transpose(1, 2)).relu_().unflatten(2, shared.shape[1:])


def _pieces(pairs: torch.Size, hidden: int) -> Iterator[tuple[slice, slice]]:
    """Rows, and behaviours of these, whose hidden layer is made at once; `pairs` are (R, L, K)."""
    rows, behaviours, candidates = pairs
    width = max(1, candidates * hidden)
    step, span = max(1, CACHE // max(1, behaviours * width)), max(1, CACHE // width)
    for row in range(0, rows, step):
        for at in range(0, behaviours, span):
            yield slice(row, row + step), slice(at, at + span)
