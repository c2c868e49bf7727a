"""The encoder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from openmoon.config.section import Fraction, Section


class ImageTrunkConfig(Section):
    """`trunk` is efficientnet-lite0, -lite1 or -lite2, or the name or folder of any Hugging Face vision model."""

    trunk: str = "efficientnet-lite0"
    """efficientnet-lite0, -lite1, -lite2, or a Hugging Face vision model by name or folder."""
    size: int = Field(224, ge=32, le=1024)
    """Side of the square picture in pixels."""
    grid: int = Field(0, ge=0, le=32)
    """Pool the feature map to grid x grid tokens; 0 keeps it as it is."""


class TextTrunkConfig(Section):
    """`trunk` is minilm-l6 or the name or folder of any Hugging Face text model."""

    trunk: str = "minilm-l6"
    """minilm-l6, or a Hugging Face text model by name or folder."""
    max_tokens: int = Field(64, ge=4, le=512)
    """What is longer is cut."""


class FusionConfig(Section):
    """The transformer over the tokens of both trunks."""

    width: int = Field(256, ge=16)
    """Of the tokens of both modalities."""
    layers: int = Field(2, ge=0, le=48)
    """0: the vector is a projection of both trunks."""
    heads: int = Field(4, ge=1)
    """Of the attention; width is a multiple of them."""
    expansion: float = Field(2.0, gt=0)
    """Hidden width of the FFN / width."""
    dropout: Fraction = 0.0
    """Of attention and feed-forward, in training."""
    pooling: Literal["modality", "token"] = "modality"
    """modality: the mean of each modality's tokens, then of both; token: of all tokens, as the papers do."""
    experts: int = Field(0, ge=0, le=64)
    """Modality-driven experts in place of the feed-forward networks, from stage 2 on; 0 = dense."""
    top: int = Field(2, ge=1)
    """Of them see each token."""
    experts_in: Literal["later", "all"] = "later"
    """The later half of the layers, or all of them."""
    router: Literal["modality", "modality-even", "token"] = "modality"
    """It sees the token and what the input is composed of, each composition leaning to experts of its own (modality) or to none
    at the start (modality-even); token: the token alone."""
    start: Literal["principal", "random"] = "principal"
    """The projections start as principal components of the catalogue, or as random orthogonal ones."""

    @model_validator(mode="after")
    def _parts_fit(self) -> FusionConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.experts and not self.layers:
            raise ValueError("experts stand in the fusion's layers, of which there are none; set layers: 1 or more, "
                             "or experts: 0")  # fmt: skip
        if self.experts and self.top > self.experts:
            raise ValueError(f"top: {self.top} of {self.experts} experts cannot see a token; set top to {self.experts} or less")
        if not self.experts and self.dense() != self:
            raise ValueError("top, experts_in and router are for experts; set experts: 4, or leave them out")
        return self

    def dense(self) -> FusionConfig:
        """The same without experts."""
        usual = ("experts", "top", "experts_in", "router")
        return self.model_copy(update={name: type(self).model_fields[name].default for name in usual})


class EncoderConfig(Section):
    """The compact encoder. `dims` are the Matryoshka dimensions; the largest is the vector's length."""

    image: ImageTrunkConfig = ImageTrunkConfig()
    text: TextTrunkConfig = TextTrunkConfig()
    fusion: FusionConfig = FusionConfig()
    dims: list[Annotated[int, Field(ge=1)]] = Field([64, 128, 256], min_length=1)
    """Lengths to which the vector may be cut (Matryoshka); the largest is its own."""

    def dense(self) -> EncoderConfig:
        """The same without experts: what stage 1 trains."""
        return self.model_copy(update={"fusion": self.fusion.dense()})
