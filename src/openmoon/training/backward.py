"""The gradient of a step, whatever the size of the batch: GradCache (Gao et al. 2021), joined with gathering over processes.

The loss sees detached vectors of the whole batch, of all processes; its gradient at those vectors is then taken through the
encoder. With `chunk` the encoder keeps no activations at first and computes every chunk a second time, from the same random
numbers, so memory hardly grows with the batch. All ways give one gradient but for what is random in the encoder: dropout and
augmented views are drawn for each chunk and process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from openmoon.data.views import Views
from openmoon.training.distributed import ALONE, World
from openmoon.training.plan import Encoded, EncodeViews, Plan, StepOutput


class _Piece(NamedTuple):
    """Rows of the views number `tower` that are encoded together."""

    tower: int
    rows: range


def backward(plan: Plan, encode: EncodeViews, seed: Sequence[int], chunk: int = 0, world: World = ALONE) -> StepOutput:
    """Add the gradient of the plan's losses to the parameters, as if there were one process; returns what the loss returned.

    `seed` decides all randomness of the encoder in this step. `chunk` > 0: at most so many rows are in the encoder at once.
    Over several processes the parameters' gradients are still to be averaged (`World.average_gradients`).
    """
    pieces = [piece for tower, views in enumerate(plan.views) for piece in _pieces(tower, len(views), chunk, world)]
    with torch.set_grad_enabled(not chunk):
        found = [_encode(plan, encode, piece, seed) for piece in pieces]
    leaves = [_joint(found, pieces, tower, len(views), world) for tower, views in enumerate(plan.views)]
    output = plan.loss(leaves)
    torch.stack(list(output.losses.values())).sum().backward()
    for piece, first in zip(pieces, found, strict=True):
        _through(first if not chunk else _encode(plan, encode, piece, seed), leaves[piece.tower], piece.rows, world.size)
    return output


def _pieces(tower: int, total: int, chunk: int, world: World) -> list[_Piece]:
    own = world.share(total)
    if not own:
        return [_Piece(tower, own)]
    starts = range(own.start, own.stop, chunk or len(own))
    return [_Piece(tower, range(start, min(start + (chunk or len(own)), own.stop))) for start in starts]


def _encode(plan: Plan, encode: EncodeViews, piece: _Piece, seed: Sequence[int]) -> Encoded:
    rng = np.random.default_rng([*seed, piece.tower, piece.rows.start])
    torch.manual_seed(int(rng.integers(2**62)))  # dropout
    views: Views = plan.views[piece.tower]
    if piece.rows:
        return encode(views.take(np.asarray(piece.rows)), rng)
    vectors, routing = encode(views.take(np.array([0])), rng)  # fewer rows than processes: only to know the shape of none
    return Encoded(vectors[:0], None if routing is None else routing[:0])


def _joint(found: list[Encoded], pieces: list[_Piece], tower: int, total: int, world: World) -> Encoded:
    """What all processes encoded of a tower, as leaves for the loss."""
    own = [encoded for encoded, piece in zip(found, pieces, strict=True) if piece.tower == tower]

    def leaf(parts: list[Tensor]) -> Tensor:
        return world.gather(torch.cat([part.detach() for part in parts]), total).requires_grad_()

    routing = [encoded.routing for encoded in own if encoded.routing is not None]
    return Encoded(leaf([encoded.vectors for encoded in own]), leaf(routing) if routing else None)


def _through(encoded: Encoded, leaf: Encoded, rows: range, processes: int) -> None:
    """Every process has the whole loss, so averaging parameters over processes must not shrink its own part."""
    given = [
        (output, source.grad[rows.start : rows.stop] * processes)
        for output, source in zip(encoded, leaf, strict=True)
        if output is not None and source is not None and source.grad is not None and output.requires_grad
    ]
    if given:
        outputs, gradients = zip(*given, strict=True)
        torch.autograd.backward(outputs, gradients)
