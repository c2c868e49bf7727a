from __future__ import annotations

import numpy as np
import polars as pl

from openmoon.evaluation.encode import encode_table


def test_vectors_of_many_chunks_lie_in_order() -> None:
    table = pl.DataFrame({"text": [str(n) for n in range(10)]})
    found = encode_table(lambda inputs: np.array([[int(one["text"]) / 10, 0.0] for one in inputs]), table, "x", chunk=4)
    np.testing.assert_allclose(found[:, 0], np.arange(10) / 10, atol=1e-6)
