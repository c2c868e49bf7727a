"""What a training step consists of: views to encode, and a loss over their vectors.

Keeping the two apart lets one place (`backward`) encode in chunks, over several processes or all at once, while an objective
says only what is shown and what it costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from torch import Tensor

from openmoon.data.views import Views


class Encoded(NamedTuple):
    """`vectors` (B, D), unit length, and how their tokens were routed among experts, (B, 3, L, Z): `Routing` of
    every layer (`models/experts.py`); None for a dense encoder."""

    vectors: Tensor
    routing: Tensor | None = None


@dataclass(frozen=True)
class StepOutput:
    """Weighted losses by name, to be added up; the vectors that the monitor looks at, of inputs that differ; and figures for the
    log."""

    losses: dict[str, Tensor]
    vectors: Tensor
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """`loss` takes what `views` were encoded to, in their order. It is called once a step."""

    views: Sequence[Views]
    loss: Callable[[Sequence[Encoded]], StepOutput]


def first_of_each(identity: np.ndarray) -> np.ndarray:
    """The first row of each input, ascending, of (B,) identities."""
    return np.sort(np.unique(identity, return_index=True)[1])


Objective = Callable[[np.ndarray, np.random.Generator, float], Plan]
"""Rows of the training table (B,), a generator, and how much of the training is done, 0..1 → the plan of a step."""
EncodeViews = Callable[[Views, np.random.Generator], Encoded]
