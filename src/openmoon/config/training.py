"""What both stages share, and stage 1."""

from __future__ import annotations

from pydantic import Field, model_validator

from openmoon.config.section import Fraction, Section


class OptimConfig(Section):
    """AdamW with linear warm-up and cosine decay to zero."""

    batch_size: int = Field(128, ge=2)
    """Examples in a step."""
    epochs: int = Field(10, ge=1)
    """Passes over the examples."""
    max_steps: int | None = Field(None, ge=1)
    """Ends the training earlier."""
    lr: float = Field(3e-4, gt=0)
    """Fusion, projections, temperature and W*."""
    trunk_lr: float = Field(1e-4, gt=0)
    """Trunks, where they are trained."""
    weight_decay: float = Field(0.05, ge=0)
    """AdamW's; vectors, scalars and W* have none."""
    warmup: Fraction = 0.1
    """Share of the steps in which the rate rises."""
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""
    train_image_trunk: bool | int = Field(False, ge=0)
    """true: all of it; a number: its last blocks only."""
    train_text_trunk: bool | int = Field(False, ge=0)
    """As train_image_trunk."""
    temperature: float = Field(0.05, ge=0.01)
    """Where it starts; learnt, it never falls below 0.01."""
    learn_temperature: bool = True
    """false: it stays where it starts."""
    average: float = Field(0.99, ge=0, lt=1)
    """Decay of the running mean of the weights, which is what is kept; 0 = none."""
    checkpoint_every: int = Field(100, ge=1)
    """Steps."""
    validate_every: int = Field(0, ge=0)
    """Steps; 0 = once an epoch."""
    patience: int = Field(5, ge=1)
    """Validations without a better score before stopping early."""
    augment: Fraction = 0.5
    """Strength of the picture augmentation, 0 = none."""
    augment_views: int = Field(2, ge=0)
    """Augmented views kept per picture while the image trunk is frozen."""
    crop: int | None = Field(None, ge=32)
    """Side of the training crop; default: the encoder's image size."""
    chunk: int = Field(0, ge=0)
    """Rows in the encoder at once (GradCache): memory hardly grows with batch_size; 0 = all."""

    @model_validator(mode="after")
    def _trunk_settings_have_an_effect(self) -> OptimConfig:
        usual = {name: field.default for name, field in OptimConfig.model_fields.items()}
        if self.crop is not None and not self.train_image_trunk:
            raise ValueError("crop is for image trunks that are trained; set train_image_trunk: true, or leave it out")
        if self.augment_views != usual["augment_views"] and self.train_image_trunk:
            raise ValueError("augment_views are kept for frozen image trunks; one that is trained sees a new view in every step: "
                             "leave it out")  # fmt: skip
        if self.trunk_lr != usual["trunk_lr"] and not (self.train_image_trunk or self.train_text_trunk):
            raise ValueError("trunk_lr is for trunks that are trained; set train_image_trunk or train_text_trunk, or leave it "
                             "out")  # fmt: skip
        return self

    @property
    def views_differ(self) -> bool:
        """Whether two views of one picture differ before they are encoded."""
        return self.augment > 0 and (bool(self.train_image_trunk) or self.augment_views > 0)


class PretrainConfig(OptimConfig):
    """Stage 1: image↔text of one product and self-supervision on pictures."""

    image_text: float = Field(1.0, ge=0)
    """How much it counts that a product's picture and text find each other."""
    self_supervision: float = Field(2.0, ge=0)
    """How much it counts that two views of a picture find each other."""
    with_text: Fraction = 0.5
    """Share of the second views of a picture that bring the product's text along."""

    @model_validator(mode="after")
    def _one_objective(self) -> PretrainConfig:
        if not self.image_text and not self.self_supervision:
            raise ValueError(
                "image_text and self_supervision are both 0, so there is nothing to learn; use pretrain: null"
            )
        return self

    @property
    def views_differ(self) -> bool:
        """As in stage 2, or one of them brings the text along."""
        return super().views_differ or self.with_text > 0
