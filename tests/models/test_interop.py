from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openmoon import ProductEncoder
from openmoon.models.onnx_trunks import accelerate

sentence_transformers = pytest.importorskip("sentence_transformers")


def test_sentence_transformers_gives_the_same_vectors(
    tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path
) -> None:
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    model = sentence_transformers.SentenceTransformer(str(tmp_path / "encoder"), trust_remote_code=True, device="cpu")
    texts = ["red boot", "blue bag with dots and stripes", "lamp"]
    both = [{"text": text, "image": str(path)} for text, path in zip(texts, pictures, strict=False)]
    for batch in (texts, both):
        np.testing.assert_allclose(model.encode(batch), tiny_encoder.encode(batch), atol=1e-5)


def test_onnx_trunks_give_the_same_vectors(tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path) -> None:
    mixed = ["red boot with dots", *pictures, {"text": "lamp", "image": pictures[0]}]
    fast = accelerate(tiny_encoder, tmp_path)
    np.testing.assert_allclose(fast.encode(mixed, batch_size=3), tiny_encoder.encode(mixed), atol=1e-4)
    assert len(list(tmp_path.glob("*.onnx"))) == 2
