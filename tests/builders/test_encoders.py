"""What an ENCODER argument may be, and that every kind gives the vectors it should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openmoon.builders.encoders import is_saved_encoder, named_sources, open_system, split_name
from openmoon.builders.sentence_encode import SentenceEncode
from openmoon.data.image_cache import ImageCache
from openmoon.errors import UserError
from openmoon.models.encoder import ProductEncoder


@pytest.mark.parametrize(
    ("argument", "name", "source"),
    [
        ("untuned", "untuned", "untuned"),
        ("runs/x/posttrain/encoder", "x/posttrain", "runs/x/posttrain/encoder"),
        ("/encoder", "/encoder", "/encoder"),
        ("stage 2=runs/x/encoder", "stage 2", "runs/x/encoder"),
        ("out/a=b/encoder", "out/a=b", "out/a=b/encoder"),
        ("last-year.parquet", "last-year", "last-year.parquet"),
        ("clip-ViT-B-32", "clip-ViT-B-32", "clip-ViT-B-32"),
    ],
)
def test_names(argument: str, name: str, source: str) -> None:
    assert split_name(argument) == (name, source)


def test_equal_names_and_names_of_baselines_are_refused() -> None:
    assert list(named_sources(["b=x", "a=y"])) == ["b", "a"]
    for arguments in (["a=x", "a=y"], ["majority=x"], ["x/posttrain/encoder", "y/x/posttrain/encoder"]):
        with pytest.raises(UserError, match="write NAME="):
            named_sources(arguments)


def test_a_saved_encoder_by_three_roads(tiny_encoder: ProductEncoder, tmp_path: Path, pictures: list[Path]) -> None:
    folder = tmp_path / "encoder"
    tiny_encoder.save_pretrained(folder)
    inputs = [{"text": "red boot", "image": str(pictures[0])}, {"text": "mug"}, {"image": str(pictures[1])}]
    expected = tiny_encoder.eval().encode(inputs)
    assert is_saved_encoder(str(folder))

    def decoded(size: int) -> ImageCache:
        images = ImageCache(tmp_path / "cache", size)
        images.fill(pictures)
        return images

    ours = open_system("ours", str(folder), tiny_encoder.config, decoded, tmp_path / "cache")
    assert ours.encode is not None
    np.testing.assert_allclose(ours.encode(inputs), expected, atol=2e-3)  # tokens are kept as float16
    assert ours.facts["fingerprint"] == tiny_encoder.fingerprint()


def test_a_sentence_transformer_that_reads_texts_alone(tiny_trunks: tuple[str, str], tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(tiny_trunks[1])
    model.save(str(tmp_path / "model"))
    system = open_system("st", str(tmp_path / "model"), None, None, tmp_path)  # type: ignore[arg-type]
    assert isinstance(system.encode, SentenceEncode)
    assert system.encode.reads == {frozenset({"text"})}
    found = system.encode([{"text": "red boot"}, {"text": "mug"}])
    np.testing.assert_allclose(found, model.encode(["red boot", "mug"], normalize_embeddings=True), atol=1e-6)
    assert system.facts["text and picture"] == "not read"
    assert len(system.facts["fingerprint"]) == 12


def test_a_sentence_transformer_that_reads_both_at_once(
    tiny_encoder: ProductEncoder, tmp_path: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    tiny_encoder.save_pretrained(tmp_path / "model")
    model = SentenceTransformer(str(tmp_path / "model"), trust_remote_code=True)
    monkeypatch.setattr("openmoon.builders.sentence_encode._load_sentence_transformer", lambda source: model)
    encode = SentenceEncode("model")
    inputs = [{"text": "red boot", "image": str(pictures[0])}, {"text": "mug"}, {"image": str(pictures[1])}]
    assert encode.facts["text and picture"] == "at once"
    np.testing.assert_allclose(encode(inputs), tiny_encoder.eval().encode(inputs), atol=1e-5)


class TwoTowers:
    """Like CLIP in sentence-transformers: texts or pictures, not both at once."""

    modalities = ("text", "image")

    def supports(self, modality: object) -> bool:
        return modality in self.modalities

    def encode(self, inputs: list, **_: object) -> np.ndarray:
        return np.array([[1.0, 0.0] if isinstance(one, str) else [0.0, 1.0] for one in inputs], np.float32)


def test_two_towers_meet_in_the_mean(monkeypatch: pytest.MonkeyPatch, pictures: list[Path]) -> None:
    monkeypatch.setattr("openmoon.builders.sentence_encode._load_sentence_transformer", lambda source: TwoTowers())
    encode = SentenceEncode("clip")
    both = {"text": "a", "image": str(pictures[0])}
    found = encode([both, {"image": str(pictures[1])}, {"text": "b"}, both])
    np.testing.assert_allclose(found, [[0.5**0.5] * 2, [0, 1], [1, 0], [0.5**0.5] * 2], atol=1e-6)


def test_a_model_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a saved encoder") as failed:
        open_system("x", str(tmp_path / "nothing"), None, None, tmp_path)  # type: ignore[arg-type]
    assert "\n" not in str(failed.value)
    assert "There is no such file or folder here" in str(failed.value)


def test_the_folder_of_a_stage_is_not_its_encoder(tiny_encoder: ProductEncoder, tmp_path: Path) -> None:
    tiny_encoder.save_pretrained(tmp_path / "posttrain" / "encoder")
    with pytest.raises(UserError, match=r"did you mean .*posttrain/encoder\?"):
        open_system("x", str(tmp_path / "posttrain"), None, None, tmp_path)  # type: ignore[arg-type]


def test_a_saved_encoder_that_was_cut_off_is_called_damaged(tiny_encoder: ProductEncoder, tmp_path: Path) -> None:
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    config = tmp_path / "encoder" / "config.json"
    config.write_text(config.read_text()[:50])
    with pytest.raises(UserError, match=r"not JSON .* the encoder is damaged"):
        open_system("x", str(config.parent), None, None, tmp_path)  # type: ignore[arg-type]
