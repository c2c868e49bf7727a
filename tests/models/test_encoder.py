from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image

from openmoon import ProductEncoder
from openmoon.config import EncoderConfig
from openmoon.errors import UserError
from openmoon.learnt import NO_BEHAVIOUR, saved_learnt_until
from openmoon.models.encode import encode_stream
from openmoon.models.encoder import build_encoder
from openmoon.models.fusion import FusionLayer
from openmoon.models.inputs import Input
from openmoon.models.tokens import Tokens


def inputs(pictures: list[Path]) -> list[object]:
    return [
        "red boot", {"text": "blue bag with dots", "image": str(pictures[0])}, pictures[1], {"image": pictures[2]},
        {"text": "lamp"}, Image.open(pictures[3]), np.asarray(Image.open(pictures[4])), pictures[5].read_bytes(),
        {"text": "  ", "image": pictures[0]},
    ]  # fmt: skip


def test_every_kind_of_input_becomes_a_unit_vector(tiny_encoder: ProductEncoder, pictures: list[Path]) -> None:
    vectors = tiny_encoder.encode(inputs(pictures), batch_size=4)
    assert vectors.shape == (9, 8)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("alone", ["boots", Path("boots.jpg"), {"text": "boots"}], ids=lambda one: type(one).__name__)
def test_one_input_is_not_taken_for_many(tiny_encoder: ProductEncoder, alone: object) -> None:
    with pytest.raises(UserError, match="expected a list of them"):
        tiny_encoder.encode(alone)  # type: ignore[arg-type]


def test_a_vector_does_not_depend_on_its_batch(tiny_encoder: ProductEncoder, pictures: list[Path]) -> None:
    """Padding and missing modalities are fewer tokens, never zeros that count."""
    together = tiny_encoder.encode(inputs(pictures), batch_size=9)
    alone = np.concatenate([tiny_encoder.encode([value]) for value in inputs(pictures)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("workers", [1, 4])
def test_windows_keep_the_order(tiny_encoder: ProductEncoder, workers: int) -> None:
    texts = [" ".join(["red", "blue", "boot", "mug"][i % 4 :] * (1 + i % 3)) + f" {i % 10}" for i in range(100)]
    np.testing.assert_allclose(
        tiny_encoder.encode(texts, batch_size=3, workers=workers), tiny_encoder.encode(texts, batch_size=128), atol=1e-5
    )


@pytest.mark.parametrize(("batch_size", "workers"), [(2, 1), (2, 4), (200, 3)])
def test_unreadable_pictures_are_told_in_turn_and_count_as_missing(
    tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path, batch_size: int, workers: int
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    stream = [Input("red " * (n % 7) + "boot" if n % 3 else None, broken if n % 5 == 0 else pictures[0]) for n in range(100)]
    told: list[int] = []
    seen, chunks = 0, encode_stream(tiny_encoder, stream, batch_size, workers, lambda number, reason: told.append(number))
    found = []
    for vectors in chunks:
        assert {n for n in range(seen, seen + len(vectors)) if n % 5 == 0} <= set(told), "told before its vector comes"
        seen += len(vectors)
        found.append(vectors)
    nothing = np.isnan(np.concatenate(found)).any(1)
    assert (sorted(told), len(told)) == (list(range(0, 100, 5)), 20)
    assert np.flatnonzero(nothing).tolist() == list(range(0, 100, 15))
    readable = [{"text": i.text or "", "image": None if i.image == broken else i.image} for i in stream]
    expected = tiny_encoder.encode([parts for parts, none in zip(readable, nothing, strict=True) if not none])
    np.testing.assert_allclose(np.concatenate(found)[~nothing], expected, atol=1e-5)
    with pytest.raises(UserError, match=r"broken\.jpg"):
        list(encode_stream(tiny_encoder, stream, batch_size, workers))


def test_both_modalities_matter(tiny_encoder: ProductEncoder, pictures: list[Path]) -> None:
    text, image, both = tiny_encoder.encode(["red boot", pictures[0], {"text": "red boot", "image": pictures[0]}])
    assert both @ text < 0.999
    assert both @ image < 0.999


def test_truncation_is_a_prefix(tiny_encoder: ProductEncoder) -> None:
    full, short = tiny_encoder.encode(["red boot"]), tiny_encoder.encode(["red boot"], truncate_dim=4)
    np.testing.assert_allclose(short[0], full[0, :4] / np.linalg.norm(full[0, :4]), atol=1e-6)
    with pytest.raises(UserError, match=r"truncate_dim: 9 is outside 1\.\.8"):
        tiny_encoder.encode(["red boot"], truncate_dim=9)


def test_save_and_load_give_the_same_vectors(
    tiny_encoder: ProductEncoder, pictures: list[Path], tmp_path: Path
) -> None:
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    loaded = ProductEncoder.from_pretrained(tmp_path / "encoder")
    np.testing.assert_array_equal(loaded.encode(inputs(pictures)), tiny_encoder.encode(inputs(pictures)))
    assert loaded.fingerprint() == tiny_encoder.fingerprint()


@pytest.mark.parametrize(
    ("moment", "written"), [(None, {}), (NO_BEHAVIOUR, {"learnt_until": None}),
                            (datetime(2025, 6, 1, 12), {"learnt_until": "2025-06-01T12:00:00"})],
)  # fmt: skip
def test_the_folder_says_what_was_learnt_from(
    tiny_encoder: ProductEncoder, tmp_path: Path, moment: datetime | None, written: dict[str, object]
) -> None:
    tiny_encoder.save_pretrained(tmp_path / "encoder", moment)
    facts = json.loads((tmp_path / "encoder" / "config.json").read_text())
    assert {name: value for name, value in facts.items() if name == "learnt_until"} == written
    assert saved_learnt_until(tmp_path / "encoder") == moment
    ProductEncoder.from_pretrained(tmp_path / "encoder").save_pretrained(tmp_path / "again")
    assert saved_learnt_until(tmp_path / "again") is None, "it may have been trained in between"


def test_fingerprint_sees_every_weight(tiny_encoder: ProductEncoder) -> None:
    """A little more of any one number changes it."""
    seen = {tiny_encoder.fingerprint()}
    for tensor in tiny_encoder.state_dict().values():
        tensor[(-1,) * tensor.ndim] += 1e-3 if tensor.is_floating_point() else 1
        seen.add(tiny_encoder.fingerprint())
    assert len(seen) == 1 + len(tiny_encoder.state_dict())


def test_a_setting_that_is_new_and_not_used_changes_no_fingerprint(tiny_encoder: ProductEncoder) -> None:
    class Later(EncoderConfig):
        new: int = 3

    before = tiny_encoder.fingerprint()
    tiny_encoder.config = Later.model_validate(tiny_encoder.config.model_dump())
    assert tiny_encoder.fingerprint() == before
    tiny_encoder.config = Later.model_validate({**tiny_encoder.config.model_dump(), "new": 4})
    assert tiny_encoder.fingerprint() != before


@pytest.mark.parametrize("array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 1), np.uint8),
                                   np.zeros((0, 4, 3), np.uint8)])  # fmt: skip
def test_arrays_that_are_no_pictures_are_told_of(tiny_encoder: ProductEncoder, array: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"inputs\[1\]\.image: expected an \(H, W, 3\) array of uint8, got \("):
        tiny_encoder.encode(["a boot", array])


def test_an_open_picture_is_turned_upright_as_its_file_is(tiny_encoder: ProductEncoder, pictures: list[Path]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = pictures[0].with_name("turned.png")
    Image.open(pictures[0]).save(turned, exif=exif)
    by_path, by_picture = tiny_encoder.encode([turned]), tiny_encoder.encode([Image.open(turned)])
    np.testing.assert_allclose(by_picture, by_path, atol=1e-6)
    assert np.abs(by_path - tiny_encoder.encode([pictures[0]])).max() > 1e-4


def test_other_formats_are_refused(tiny_encoder: ProductEncoder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a saved encoder"):
        ProductEncoder.from_pretrained(tmp_path)
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    config = json.loads((tmp_path / "encoder" / "config.json").read_text())
    (tmp_path / "encoder" / "config.json").write_text(json.dumps(config | {"format": 99}))
    with pytest.raises(UserError, match="format is 99, this openmoon reads 1"):
        ProductEncoder.from_pretrained(tmp_path / "encoder")


@pytest.mark.parametrize("content", ["[]", "5", '{"format": 1}', '{"format": 1, "encoder": {"foo": 1}}', "no"])
def test_a_damaged_description_is_told_of(tiny_encoder: ProductEncoder, tmp_path: Path, content: str) -> None:
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    (tmp_path / "encoder" / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"encoder/config\.json: "):
        ProductEncoder.from_pretrained(tmp_path / "encoder")


@pytest.mark.parametrize("part", ["text_trunk", "image_trunk"])
def test_a_missing_trunk_is_the_folders_fault(tiny_encoder: ProductEncoder, tmp_path: Path, part: str) -> None:
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    shutil.rmtree(tmp_path / "encoder" / part)
    with pytest.raises(UserError, match=r"^.*/encoder: the encoder is damaged"):
        ProductEncoder.from_pretrained(tmp_path / "encoder")


def test_a_vision_model_is_no_text_trunk(tiny_config: EncoderConfig) -> None:
    text = tiny_config.text.model_copy(update={"trunk": tiny_config.image.trunk})
    with pytest.raises(UserError, match=r"encoder\.text\.trunk: '.*tiny-vit' is neither"):
        build_encoder(tiny_config.model_copy(update={"text": text}))


def test_broken_weights_are_told_of(tiny_encoder: ProductEncoder, pictures: list[Path]) -> None:
    torch.nn.init.constant_(tiny_encoder.fusion.head.bias, torch.nan)
    for value in ("red boot", pictures[0]):
        with pytest.raises(UserError, match="NaN or infinity: its weights are broken"):
            tiny_encoder.encode([value])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"text": ""}, r"inputs\[1\]: neither text nor picture"),
        ({"txt": "boot"}, r"inputs\[1\]: unknown key 'txt'"),
        ("half a \ud83d boot", r"inputs\[1\]\.text: holds half a character"),
        ({"text": 3}, r"inputs\[1\]\.text: expected a string, got int"),
        ({"image": 3.0}, r"inputs\[1\]\.image: expected a path"),
        (b"not a picture", r"inputs\[1\]\.image: not a picture"),
        (Path("/nowhere/boot.jpg"), r"/nowhere/boot\.jpg: cannot be read"),
    ],
)
def test_bad_inputs_are_named(tiny_encoder: ProductEncoder, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tiny_encoder.encode(["red boot", value])


def test_nothing_in_nothing_out(tiny_encoder: ProductEncoder) -> None:
    assert tiny_encoder.encode([]).shape == (0, 8)
    with pytest.raises(UserError, match="batch_size: 0"):
        tiny_encoder.encode(["red boot"], batch_size=0)


def test_untrained_fusion_is_a_projection_of_the_trunks(tiny_config: EncoderConfig) -> None:
    """Residual branches start at zero, so the first vector is the pooled projection and nothing is lost by depth."""
    torch.manual_seed(0)
    encoder = build_encoder(tiny_config)
    values = torch.randn(3, 5, 24)
    fusion = encoder.fusion
    expected = torch.nn.functional.normalize(fusion.head(fusion.image_in(values).mean(1)), dim=-1)
    found = encoder(Tokens(values, torch.ones(3, 5, dtype=torch.bool)), None)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("pooling", ["modality", "token"])
def test_pooling_weighs_modalities_as_it_says(tiny_config: EncoderConfig, pooling: str) -> None:
    fusion = tiny_config.fusion.model_copy(update={"pooling": pooling, "layers": 0})
    encoder = build_encoder(tiny_config.model_copy(update={"fusion": fusion}))
    image = Tokens(torch.randn(1, 6, 24), torch.ones(1, 6, dtype=torch.bool))
    text = Tokens(torch.randn(1, 2, 32), torch.ones(1, 2, dtype=torch.bool))
    i, t = encoder.fusion.image_in(image.values)[0], encoder.fusion.text_in(text.values)[0]
    pooled = (i.mean(0) + t.mean(0)) / 2 if pooling == "modality" else torch.cat([i, t]).mean(0)
    torch.testing.assert_close(encoder.fusion(image, text)[0][0], encoder.fusion.head(pooled))


def test_unknown_trunks_are_named(tiny_config: EncoderConfig) -> None:
    config = tiny_config.model_copy(update={"text": tiny_config.text.model_copy(update={"trunk": "no/such-model"})})
    with pytest.raises(UserError, match=r"encoder\.text\.trunk: 'no/such-model' is neither"):
        build_encoder(config)


def test_fingerprint_of_parts_sees_those_alone(tiny_encoder: ProductEncoder) -> None:
    trunks, fusion = tiny_encoder.fingerprint(("image", "text")), tiny_encoder.fingerprint(("fusion",))
    with torch.no_grad():
        tiny_encoder.fusion.head.weight[0, 0] += 1e-3
    assert tiny_encoder.fingerprint(("image", "text")) == trunks
    assert tiny_encoder.fingerprint(("fusion",)) != fusion


def test_a_saved_encoder_without_its_tokenizer_is_damaged(tiny_encoder: ProductEncoder, tmp_path: Path) -> None:
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    (tmp_path / "encoder" / "text_trunk" / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"text_trunk: has no tokenizer \(tokenizer.json or "):
        ProductEncoder.from_pretrained(tmp_path / "encoder")


def test_saving_leaves_a_folder_of_other_things_alone(tiny_encoder: ProductEncoder, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds something that is not a saved encoder"):
        tiny_encoder.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    tiny_encoder.save_pretrained(tmp_path / "encoder")  # its own is replaced
    with pytest.raises(UserError, match=r"thesis.txt: is a file, where a folder"):
        tiny_encoder.save_pretrained(tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_every_setting_reaches_the_encoder(tiny_config: EncoderConfig) -> None:
    fusion = tiny_config.fusion.model_copy(update={"dropout": 0.5, "heads": 4, "expansion": 3.0})
    text = tiny_config.text.model_copy(update={"max_tokens": 5})
    image = tiny_config.image.model_copy(update={"grid": 1})
    encoder = build_encoder(tiny_config.model_copy(update={"fusion": fusion, "text": text, "image": image}))
    (layer,) = cast(list[FusionLayer], list(encoder.fusion.layers))
    assert (layer.dropout, layer.heads, layer.feed_forward.up.out_features) == (0.5, 4, 48)
    assert len(encoder.text.tokenize(["red boot with dots and stripes"])[0]) == 5
    assert encoder.image(torch.zeros(1, 3, 32, 32)).shape[1] == 1
    assert encoder.image.std.flatten().tolist() == [0.25 * 255] * 3, "as the trunk's own processor says"
    torch.nn.init.normal_(layer.feed_forward.down.weight)
    x, mask, composition = torch.randn(1, 3, 16), torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, dtype=torch.int64)
    first, second = (layer.train()(x, mask, composition)[0] for _ in range(2))
    assert not torch.equal(first, second)
    first, second = (layer.eval()(x, mask, composition)[0] for _ in range(2))
    torch.testing.assert_close(first, second)
