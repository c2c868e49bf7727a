"""The linear probe: what can be read off frozen vectors by a linear map.

Ridge regression of one-hot classes, in closed form: no learning rate, no stopping, no seed, so that no encoder is favoured
by how its probe was trained. The strength of the penalty is chosen for each encoder and label by the leave-one-out accuracy
on the train part, which has a closed form too (Allen's PRESS).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

PENALTIES = tuple(10.0**power for power in range(-4, 3))  # relative to the mean variance of the vectors along an axis
SMALLEST = 1e-10  # axes with less than this share of the largest variance are rounding noise


def linear_probe(train: np.ndarray, labels: np.ndarray, test: Iterable[np.ndarray]) -> np.ndarray:
    """Train a probe and answer.

    Args:
        train: (n, d) vectors of any scale; n at least 2.
        labels: (n,) class numbers from 0.
        test: arrays (m_i, d), read once, one at a time.

    Returns:
        (sum of m_i,) int64, the predicted class numbers.
    """
    vectors = torch.from_numpy(np.array(train, np.float64))
    mean = vectors.mean(0)
    vectors -= mean
    wanted = torch.nn.functional.one_hot(torch.from_numpy(labels.astype(np.int64))).double()
    rest = wanted.mean(0)
    axes, strength = _principal_axes(vectors)
    seen = vectors @ axes  # (n, r): the vectors along their principal axes
    target = seen.T @ (wanted - rest)
    scale = float(strength.mean()) if len(strength) else 1.0
    penalties = [scale * penalty for penalty in PENALTIES]
    best = max(penalties, key=lambda penalty: _left_out_accuracy(seen, strength, target, wanted, rest, penalty))
    weights = axes @ (target / (strength + best)[:, None])
    asked = (torch.from_numpy(np.array(chunk, np.float64)) - mean for chunk in test)
    return np.concatenate([(chunk @ weights + rest).argmax(1).numpy() for chunk in asked])


def _principal_axes(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Axes (d, r) of centred vectors (n, d) and the sums of squares (r,) along them, over the smaller of both sides."""
    wide = vectors.shape[0] < vectors.shape[1]
    strength, axes = torch.linalg.eigh(vectors @ vectors.T if wide else vectors.T @ vectors)
    kept = strength > SMALLEST * strength[-1].clamp(min=torch.finfo(strength.dtype).tiny)
    strength, axes = strength[kept], axes[:, kept]
    return (vectors.T @ axes / strength.sqrt() if wide else axes), strength


def _left_out_accuracy(
    seen: Tensor, strength: Tensor, target: Tensor, wanted: Tensor, rest: Tensor, penalty: float
) -> float:
    """The share of train vectors that a probe trained on all the others would get right."""
    shrunk = 1 / (strength + penalty)
    fitted = seen @ (target * shrunk[:, None]) + rest
    leverage = (seen.square() @ shrunk + 1 / len(seen)).clamp(max=1 - 1e-9)
    left_out = wanted - (wanted - fitted) / (1 - leverage)[:, None]
    return float((left_out.argmax(1) == wanted.argmax(1)).double().mean())
