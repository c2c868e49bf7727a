"""Small stand-ins shared by all tests: tiny Hugging Face trunks on disk, and no network."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["OPENMOON_DEVICE"] = "cpu"  # tolerances are those of float32; tests/test_gpu.py is for the GPU

from openmoon.runtime import tune_process

tune_process()

from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from PIL import Image

from openmoon.config import EncoderConfig
from openmoon.models.encoder import ProductEncoder, build_encoder

# a busy machine is slow, not wrong
hypothesis.settings.register_profile(
    "openmoon", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("openmoon")


@pytest.fixture(autouse=True)
def _same_numbers_in_any_order() -> None:
    """What a test draws from torch does not depend on the tests before it."""
    torch.manual_seed(0)


WORDS = [
    "red",
    "green",
    "blue",
    "small",
    "large",
    "boot",
    "shoe",
    "bag",
    "lamp",
    "mug",
    "leather",
    "cotton",
    "with",
    "dots",
    "and",
    "stripes",
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
]


@pytest.fixture(scope="session")
def tiny_trunks(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Folders of a random ViT (32 px, 4 + 1 tokens of 24) and a random BERT (32 dims) as a user would name their own."""
    from transformers import BertConfig, BertModel, BertTokenizerFast, ViTConfig, ViTImageProcessorPil, ViTModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("trunks")
    vision, text = folder / "tiny-vit", folder / "tiny-bert"
    config = ViTConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16
    )
    ViTModel(config, add_pooling_layer=False).save_pretrained(vision)
    ViTImageProcessorPil(image_mean=[0.5] * 3, image_std=[0.25] * 3).save_pretrained(vision)
    text.mkdir()
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (text / "vocab.txt").write_text("\n".join(pieces))
    BertTokenizerFast(vocab={piece: n for n, piece in enumerate(pieces)}).save_pretrained(text)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(pieces), **sizes), add_pooling_layer=False).save_pretrained(text)
    return str(vision), str(text)


@pytest.fixture(scope="session")
def tiny_config(tiny_trunks: tuple[str, str]) -> EncoderConfig:
    """An encoder configuration that builds in milliseconds."""
    vision, text = tiny_trunks
    return EncoderConfig.model_validate({
        "image": {"trunk": vision, "size": 32}, "text": {"trunk": text, "max_tokens": 12},
        "fusion": {"width": 16, "layers": 1, "heads": 2}, "dims": [4, 8],
    })  # fmt: skip


@pytest.fixture
def tiny_encoder(tiny_config: EncoderConfig) -> ProductEncoder:
    """A fresh encoder whose fusion layers do something: the zero-initialised branches are filled."""
    torch.manual_seed(1)
    encoder = build_encoder(tiny_config)
    with torch.no_grad():
        for parameter in encoder.fusion.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return encoder


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Six different JPEG files of 48 x 40 pixels."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(6):
        base = np.kron(rng.integers(0, 255, (5, 6, 3)), np.ones((8, 8, 1)))
        path = tmp_path / f"picture-{number}.jpg"
        Image.fromarray(base.astype(np.uint8)).save(path, quality=95)
        paths.append(path)
    return paths
