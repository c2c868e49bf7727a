"""Co-augmentation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, model_validator

from openmoon.config.section import Fraction, Section


class EndpointConfig(Section):
    """A vision-language model behind an OpenAI-compatible chat-completions endpoint, which writes enriched texts."""

    url: str
    """Such as https://host/v1."""
    model: str
    """What the endpoint calls it."""
    key: str | None = Field(None, pattern=r"^\w+$")
    """Name of the environment variable that holds the key; null = no key."""
    timeout: float = Field(60.0, gt=0)
    """Seconds."""
    retries: int = Field(4, ge=0)
    """Further tries of a request that failed."""
    backoff: float = Field(1.0, ge=0)
    """Seconds before the second try, doubled for each further one."""
    concurrency: int = Field(8, ge=1, le=256)
    """Requests under way at once."""
    side: int = Field(512, ge=32, le=4096)
    """Pixels of the longer side of the picture that is sent."""
    parameters: dict[str, JsonValue] = Field({"max_tokens": 200, "temperature": 0})
    """What goes into a request beside model and messages; some models want other names, such as max_completion_tokens."""

    @model_validator(mode="after")
    def _parameters_leave_the_request_alone(self) -> EndpointConfig:
        if taken := {"model", "messages", "stream", "n"} & set(self.parameters):
            raise ValueError(f"parameters may not set {min(taken)!r}: a request names its model and messages, and has one answer")
        return self


class EnrichmentConfig(Section):
    """Texts T⁺ from title, description, category and attributes. Brands, numbers, sizes and model codes stay as they are."""

    templates: int = Field(2, ge=0, le=20)
    """Texts per product from templates."""
    endpoint: EndpointConfig | None = None
    """One more per product from a model."""
    protect: list[str] = Field([])
    """Attributes besides brands whose values in the title must stay verbatim."""


class ExpansionConfig(Section):
    """Pictures of the cut-out subject before other backgrounds, from other viewpoints, in other light."""

    per_product: int = Field(2, ge=0, le=20)
    """Pictures made per product."""
    side: int = Field(1024, ge=64)
    """Pixels of the longer side, at most."""
    format: Literal["jpeg", "webp"] = "jpeg"
    """Of the files."""


class AugmentConfig(Section):
    """Image-text co-augmentation of the training products, and the gate that drops what no longer shows its product."""

    texts: EnrichmentConfig = EnrichmentConfig()
    pictures: ExpansionConfig = ExpansionConfig()
    nearer: Fraction = 0.99
    """Share of other products that must be further from what was made than its own."""
    slack: Fraction = 0.05
    """By which title and picture may match less than the original ones do, as such a share."""
    others: int = Field(1000, ge=1)
    """Products to compare with."""

    @model_validator(mode="after")
    def _something_to_make(self) -> AugmentConfig:
        if not self.texts.templates and self.texts.endpoint is None and not self.pictures.per_product:
            raise ValueError("texts.templates and pictures.per_product are 0 and there is no texts.endpoint: nothing to make")
        return self
