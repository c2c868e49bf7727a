from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from openmoon import ProductEncoder
from openmoon.config import EncoderConfig
from openmoon.models.encoder import upcycled
from openmoon.models.onnx import trunks
from openmoon.models.onnx.graph import openvino
from openmoon.models.onnx.trunks import accelerate, export_image

sentence_transformers = pytest.importorskip("sentence_transformers")


@pytest.mark.parametrize("experts", [0, 4])
def test_sentence_transformers_gives_the_same_vectors(
    tiny_encoder: ProductEncoder, tiny_config: EncoderConfig, pictures: list[Path], tmp_path: Path, experts: int
) -> None:
    fusion = tiny_config.fusion.model_copy(update={"experts": experts})
    tiny_encoder = upcycled(tiny_encoder, tiny_config.model_copy(update={"fusion": fusion}))
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    model = sentence_transformers.SentenceTransformer(str(tmp_path / "encoder"), trust_remote_code=True, device="cpu")
    texts = ["red boot", "blue bag with dots and stripes", "lamp"]
    both = [{"text": text, "image": str(path)} for text, path in zip(texts, pictures, strict=False)]
    photos = [{"image": str(path)} for path in pictures]
    for batch in (texts, photos, both):
        np.testing.assert_allclose(model.encode(batch), tiny_encoder.encode(batch), atol=1e-5)
        short = model.encode(batch, truncate_dim=4, normalize_embeddings=True)
        np.testing.assert_allclose(short, tiny_encoder.encode(batch, truncate_dim=4), atol=1e-5)


def test_what_sentence_transformers_saves_is_an_encoder_again(
    tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path
) -> None:
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    model = sentence_transformers.SentenceTransformer(str(tmp_path / "encoder"), trust_remote_code=True, device="cpu")
    model.prompts = {"query": "wanted: "}
    inputs = [{"text": "lamp", "image": str(picture)} for picture in pictures]
    for name in ("new", "encoder"):
        model.save_pretrained(str(tmp_path / name))
        again = sentence_transformers.SentenceTransformer(str(tmp_path / name), trust_remote_code=True, device="cpu")
        assert again.prompts["query"] == "wanted: "
        for found in (again.encode(inputs), ProductEncoder.from_pretrained(tmp_path / name).encode(inputs)):
            np.testing.assert_allclose(found, tiny_encoder.encode(inputs), atol=1e-5)


def test_cached_losses_of_sentence_transformers_train_it(tiny_encoder: ProductEncoder, pictures: list[Path]) -> None:
    """A gradient cache cuts batches of any composition into parts; its gradient is that of the whole."""
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )

    from openmoon.models.interop import SentenceTransformerModule

    model = sentence_transformers.SentenceTransformer(modules=[SentenceTransformerModule(tiny_encoder)], device="cpu").eval()
    queries = model[0].preprocess(["red boot", {"image": pictures[0]}, {"text": "blue lamp", "image": pictures[1]}, "mug"])
    items = model[0].preprocess([{"text": "boot", "image": pictures[k]} if k % 2 else {"image": pictures[k]} for k in range(4)])
    gradients = []
    for loss in (MultipleNegativesRankingLoss(model), CachedMultipleNegativesRankingLoss(model, mini_batch_size=3)):
        tiny_encoder.zero_grad()
        loss([dict(queries), dict(items)], torch.empty(0)).backward()
        gradients.append({name: p.grad.clone() for name, p in tiny_encoder.named_parameters() if p.grad is not None})
    whole, cached = gradients
    assert set(whole) == set(cached)
    assert any(gradient.abs().max() > 1e-4 for gradient in whole.values())
    for name, gradient in whole.items():
        torch.testing.assert_close(cached[name], gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("at_once", [1, 2 * 32 * 32, trunks.AT_ONCE])
def test_onnx_trunks_give_the_same_vectors(
    tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(trunks, "AT_ONCE", at_once)
    mixed = ["red boot with dots", *pictures, {"text": "lamp", "image": pictures[0]}]
    expected, fast = tiny_encoder.encode(mixed), accelerate(tiny_encoder, tmp_path)
    for trunk in (tiny_encoder.image, tiny_encoder.text):
        for parameter in trunk.parameters():
            torch.nn.init.zeros_(parameter)  # the graphs have their own
    for workers in (1, 2, 4):
        np.testing.assert_allclose(fast.encode(mixed, batch_size=3, workers=workers), expected, atol=1e-4)
    assert len(list(tmp_path.glob("*.onnx"))) == 2
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: fast.encode(mixed, batch_size=3, workers=2), range(8)):
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_what_was_compiled_is_kept_and_made_again_where_it_is_damaged(tiny_encoder: ProductEncoder, tmp_path: Path) -> None:
    path, pixels = tmp_path / "image.onnx", {"pixels": np.random.default_rng(0).random((2, 3, 32, 32), np.float32) * 255}
    export_image(tiny_encoder.image, 32, path)
    expected = openvino(path, threads=1)(pixels)
    (kept,) = (tmp_path / "compiled").iterdir()
    first = kept.stat()
    np.testing.assert_array_equal(openvino(path, threads=1)(pixels), expected)
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    kept.chmod(0o644)
    os.truncate(kept, first.st_size // 2)  # by a process that was killed, or a disk that was full
    np.testing.assert_array_equal(openvino(path, threads=1)(pixels), expected)
    assert kept.stat().st_size > first.st_size // 2


def test_first_calls_of_openvino_from_many_threads_return(tiny_encoder: ProductEncoder, tmp_path: Path) -> None:
    """Its binding waits for itself when two threads are in it for the first time; a process of its own, since once is enough."""
    path = tmp_path / "image.onnx"
    export_image(tiny_encoder.image, 32, path)
    script = f"""
import sys, threading
from pathlib import Path
import numpy as np
from openmoon.models.onnx.graph import openvino
run, pictures = openvino(Path({str(path)!r}), 2, streams=2), {{"pixels": np.zeros((1, 3, 32, 32), np.float32)}}
sys.setswitchinterval(1e-7)
together = threading.Barrier(8)
threads = [threading.Thread(target=lambda: (together.wait(), run(pictures))) for _ in range(8)]
for each in (*map(threading.Thread.start, threads), *map(threading.Thread.join, threads)): pass
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_trunks_in_bfloat16_give_nearly_the_same_vectors(
    tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path
) -> None:
    mixed = ["red boot with dots", *pictures, {"text": "lamp", "image": pictures[0]}]
    fast = accelerate(tiny_encoder, tmp_path, precision="bfloat16")  # float32 where the processor knows no bfloat16
    assert (fast.encode(mixed) * tiny_encoder.encode(mixed)).sum(1).min() > 0.98
