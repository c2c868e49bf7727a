"""DIN's activation unit in memory that does not grow with the number of (candidate, behaviour) pairs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

CACHE = 3 << 16  # numbers of the hidden layer that are made at once: they stay in the processor's cache


class ActivationUnit(nn.Module):
    """An MLP scores every pair of behaviour b and candidate t from [b, t, b − t, b∘t] (Zhou et al. 2018).

    (R, L, d) behaviours, (R, K, d) candidates → scores (R, K, L). The first layer is folded: W·[b, t, b − t, b∘t] =
    (W₁ + W₃) b + (W₂ − W₃) t + W₄ (b∘t), of which only the last is per pair. The hidden layer, (R, L, K, hidden), is made in
    pieces, and again in the backward pass, so it is never whole in memory.
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
    relu(b·ownᵀ + (b∘t)·bothᵀ + shared)·out."""

    @staticmethod
    def forward(ctx: Any, b: Tensor, t: Tensor, own: Tensor, both: Tensor, shared: Tensor, out: Tensor) -> Tensor:
        ctx.save_for_backward(b, t, own, both, shared, out)
        scores = [_hidden(b[part], t[part], own, both, shared[part])[1] @ out for part in _parts(b, t, out)]
        return torch.cat(scores)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        b, t, own, both, shared, out = ctx.saved_tensors
        d_b, d_t, d_shared = torch.empty_like(b), torch.empty_like(t), torch.empty_like(shared)
        d_own, d_both, d_out = torch.zeros_like(own), torch.zeros_like(both), torch.zeros_like(out)
        width, hidden = b.shape[2], len(out)
        for part in _parts(b, t, out):
            pairs, active = _hidden(b[part], t[part], own, both, shared[part])
            weight = grad[part].contiguous()
            d_out += active.view(-1, hidden).T @ weight.view(-1)
            active = active.sign_().mul_(out).mul_(weight[..., None])  # now the gradient before the ReLU
            flat, own_part = active.view(-1, hidden), active.sum(2)
            d_both += flat.T @ pairs.view(-1, width)
            d_own += own_part.view(-1, hidden).T @ b[part].reshape(-1, width)
            d_pairs = (flat @ both).view(pairs.shape)
            d_b[part] = (d_pairs * t[part][:, None]).sum(2) + own_part @ own
            d_t[part] = d_pairs.mul_(b[part][:, :, None]).sum(1)
            d_shared[part] = active.sum(1)
        return d_b, d_t, d_own, d_both, d_shared, d_out


def _hidden(b: Tensor, t: Tensor, own: Tensor, both: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
    """The products b∘t (r, L, K, d), and the hidden layer (r, L, K, h)."""
    pairs = b[:, :, None] * t[:, None]
    hidden = pairs @ both.T
    hidden += (b @ own.T)[:, :, None]
    hidden += shared[:, None]
    return pairs, hidden.relu_()


def _parts(b: Tensor, t: Tensor, out: Tensor) -> list[slice]:
    step = max(1, CACHE // max(1, b.shape[1] * t.shape[1] * len(out)))
    return [slice(at, at + step) for at in range(0, len(b), step)] or [slice(0, 0)]
