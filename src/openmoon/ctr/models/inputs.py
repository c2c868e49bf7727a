"""What a model is built from."""

from __future__ import annotations

from dataclasses import dataclass

from openmoon.config.ctr import CtrConfig


@dataclass(frozen=True)
class Inputs:
    """Widths that interests are built for: `ids` of a behaviour's id embedding, `vector` of a vector (0 = there are none)."""

    config: CtrConfig
    vector: int

    @property
    def ids(self) -> int:
        """Width of a behaviour's id embedding: id and category."""
        return 2 * self.config.dim
