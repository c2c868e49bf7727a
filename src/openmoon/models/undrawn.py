"""Modules whose weights are about to be loaded, built without drawing them: drawing is most of the time that loading takes."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_DRAWS = torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default
_FACTORS = torch.ops.aten.linalg_qr.default  # of orthogonal weights


class undrawn(TorchDispatchMode):
    """Within it, and in this thread alone, what would be drawn is whatever memory held. For modules whose every weight is loaded
    afterwards."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func in _DRAWS:
            return args[0]
        if func is _FACTORS:
            tall = args[0]
            return tall, tall[: tall.shape[1]]
        return func(*args, **(kwargs or {}))
