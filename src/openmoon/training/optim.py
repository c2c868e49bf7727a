"""AdamW groups and the warm-up + cosine schedule."""

from __future__ import annotations

import math

import torch
from torch import nn


def build_optimizer(
    fusion: nn.Module, heads: nn.Module, trunks: list[nn.Module], lr: float, trunk_lr: float, weight_decay: float
) -> torch.optim.AdamW:
    """Fused AdamW: `lr` for the fusion and the objective's own `heads` (τ …), `trunk_lr` for the trunks that are trained; no
    decay on heads, vectors and scalars."""
    groups = [{"params": list(heads.parameters()), "lr": lr, "weight_decay": 0.0}]
    for module, rate in [(fusion, lr), *((trunk, trunk_lr) for trunk in trunks)]:
        matrices = [p for p in module.parameters() if p.ndim > 1 and p.requires_grad]
        vectors = [p for p in module.parameters() if p.ndim <= 1 and p.requires_grad]
        groups += [{"params": matrices, "lr": rate, "weight_decay": weight_decay},
                   {"params": vectors, "lr": rate, "weight_decay": 0.0}]  # fmt: skip
    optimizer = torch.optim.AdamW(groups, fused=True)
    for group in optimizer.param_groups:
        group["peak"] = group["lr"]
    return optimizer


def rate(step: int, total: int, warmup: int) -> float:
    """Factor on the peak rate at `step` of `total`: linear to 1 in `warmup` steps, then half a cosine to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
