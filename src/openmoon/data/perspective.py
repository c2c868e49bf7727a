"""Plane perspective: where a picture's corners go decides where everything between them goes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def perspective(seen: npt.NDArray[np.floating], source: npt.NDArray[np.floating]) -> tuple[float, ...]:
    """The eight coefficients of `PIL.Image.Transform.PERSPECTIVE` that show the four corners `source` at `seen`, both (4, 2)."""
    rows = [
        row
        for (x, y), (u, v) in zip(seen, source, strict=True)
        for row in ((x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y))
    ]
    return tuple(np.linalg.solve(np.array(rows, float), np.asarray(source, float).reshape(-1)).tolist())
