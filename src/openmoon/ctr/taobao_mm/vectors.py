"""The SCL vectors of TAOBAO-MM in the rows of entities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from openmoon.ctr.content import VectorRows
from openmoon.ctr.taobao_mm.files import LIST, NUMBER, find, stream
from openmoon.ctr.taobao_mm.numbering import Numbering
from openmoon.errors import UserError

NAME, ITEM, VECTOR = "scl_embedding_int8_p90.parquet", "205", "205_c"
DIM, SCALE = 128, 127  # an int8 entry stands for itself over 127
ENCODER = "taobao-mm scl int8 p90"
AGAIN, ZERO = "vectors of products that have one already, left out", "vectors of zeros or null, left out"


def read_vectors(folder: Path, named: Path | None, items: Numbering) -> tuple[VectorRows, dict[str, int]]:
    """The vectors of items that have a number, dequantised and made of unit length, and what could not be used.

    The table is `named`, or lies in `folder` or its folder raw. Raises `UserError` where there is none, for vectors of another
    length or type, and as `stream`.
    """
    paths = [named] if named is not None and named.is_file() else [] if named else find(folder, NAME, "raw")
    if not paths:
        where = f"{named}: no such file" if named else f"{folder / NAME}: no such file, nor in {folder / 'raw'}"
        raise UserError(f"{where}; models that use vectors need the table of SCL vectors. Download it, name it in ctr.vectors, "
                        "or train models on ids only.")  # fmt: skip
    rows = np.zeros((len(items) + 1, DIM), np.float32)
    counts = dict.fromkeys((AGAIN, ZERO), 0)
    for part in stream(paths[0], {ITEM: NUMBER, VECTOR: LIST}):
        if part.batch.schema.field(VECTOR).type.value_type != pa.int8():
            raise UserError(f"{paths[0]}: column {VECTOR!r} is {part.batch.schema.field(VECTOR).type}, expected lists of int8.")
        vectors = part.lists(VECTOR)
        there = part.known(VECTOR)
        for row in np.flatnonzero(there & (vectors.lengths != DIM)):
            raise part.wrong(VECTOR, int(row), f"{DIM} numbers")
        place = items.find(part.numbers(ITEM)[there])
        found = vectors.flat.reshape(-1, DIM).astype(np.float32) / SCALE
        length = np.linalg.norm(found, axis=1)
        counts[ZERO] += int((length == 0).sum() + (~there).sum())
        first = np.zeros(len(place), bool)
        first[np.unique(place, return_index=True)[1]] = True
        wanted = (place > 0) & (length > 0)
        fresh = wanted & first & ~rows[place].any(1)
        counts[AGAIN] += int((wanted & ~fresh).sum())
        rows[place[fresh]] = found[fresh] / length[fresh, None]
    made = torch.from_numpy(rows)
    return VectorRows(made, ENCODER, float(made[1:].any(1).float().mean()) if len(items) else 0.0), counts
