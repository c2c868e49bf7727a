"""Stage 2: pairs, views, losses, negatives, guards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from openmoon.config.section import Action, Fraction, Section, Spare, View
from openmoon.config.training import OptimConfig


class PairMix(Section):
    """A share of the training pairs: which view of the query meets which view of the item."""

    query: Literal["text", "image", "text+image", "rich+image"]
    """rich+image: another product chosen for the query."""
    item: View
    """And which view of the product."""
    share: float = Field(gt=0)
    """Relative to the others."""


MOON_MIX = [
    PairMix(query=q, item=i, share=s)
    for q, i, s in (
        ("text", "rich", 0.2), ("text", "image", 0.2), ("text", "title+image", 0.2), ("text", "rich+image", 0.5),
        ("image", "image", 0.2), ("image", "title+image", 0.5), ("image", "rich+image", 0.2),
        ("text+image", "title+image", 0.5), ("rich+image", "rich+image", 0.1),
    )
]  # fmt: skip


class PairsConfig(Section):
    """Which pairs of the training split are learnt from. The rules are those of MOON's second fine-tune (2b) and usual caps;
    `openmoon data pairs` shows what each does."""

    signal: Literal["search", "co-click"] = "search"
    """co-click: products chosen in a row, by one of actions, to compare with."""
    per_user: int = Field(0, ge=0)
    """Pairs of one shopper; 0 = all."""
    per_item: int = Field(0, ge=0)
    """Pairs of one product; 0 = all."""
    merge_spus: bool = False
    """Of one SPU's SKUs the one with the strongest action, then the most chosen, stands for all."""
    entities: int = Field(0, ge=0)
    """Texts must name so many things (type, brand, colour …); 2b asks for 2."""
    hardest_query: bool = False
    """Of an SPU's queries of one kind only the one that the encoder that training starts from finds least alike."""
    match_categories: bool = False
    """Resample to the categories' shares of the impressions."""


class MinedConfig(Section):
    """Hard negatives of the item's category, mined by the encoder that is being trained."""

    count: int = Field(1, ge=1)
    """Drawn for each pair and step."""
    depth: int = Field(20, ge=1)
    """Of so many that score highest."""
    margin: float = Field(0.05, ge=0, le=2)
    """And at least this far below the pair's own item: nearer ones may be right too."""
    every: int = Field(200, ge=1)
    """Steps between two minings."""


class PoolConfig(Section):
    """The class-aware pool of the click-supervised encoder."""

    count: int = Field(1, ge=1)
    """Drawn for each pair and step."""
    same: Fraction = 0.5
    """Share of the item's category, shown for the query and not clicked; the rest is of other categories."""


class NegativesConfig(Section):
    """What a query is compared with besides the other items of its batch, and what is taken out as a likely false negative."""

    queue: int = Field(0, ge=0)
    """Item vectors of earlier steps (temporal negatives); 8 to 64 batches are usual."""
    queue_moments: bool = True
    """Give them the mean and deviation of the current items first."""
    queue_still: bool = True
    """The loss is the mean of one without them and one with them, in which no gradient goes to the current items; else one with
    all. Without moments and this the space drifts."""
    margin: float | None = Field(None, ge=0, le=2)
    """Mask what scores higher than the own item by more than this."""
    spare: Spare = "answers"
    """What is no negative: items of the same SPU, query or look (inputs), also whatever the log holds as an answer to the query
    (answers), also what was chosen in the same visits, of at most 100 products each (visits), or nothing but the own item
    (mining: its SPU; left and pool: whatever was chosen for the query)."""
    left: int = Field(0, ge=0)
    """Products clicked for the query but neither carted nor bought, per pair."""
    mined: MinedConfig | None = None
    pool: PoolConfig | None = None
    popularity: bool = False
    """logQ correction: do not push popular items away for being popular (info_nce only)."""


class CircleConfig(Section):
    """The circle loss's scale γ and margin m."""

    gamma: float = Field(32.0, gt=0)
    """The scale."""
    margin: Fraction = 0.25
    """m of the relaxed bounds."""


class TripletConfig(Section):
    """What was chosen against what was clicked and left, beside the loss; needs `negatives.left`."""

    margin: float = Field(0.1, ge=0, le=2)
    """By which the chosen product is to be nearer."""
    weight: float = Field(1.0, gt=0)
    """Beside the loss."""


class AlignmentConfig(Section):
    """The five objectives of `objectives: dual`, and on an encoder with experts what steers routing and their weights."""

    less: Fraction = 0.5
    """How often a photo without words meets less of a product than all it has: title and picture, or in 2 of 5 the picture
    alone."""
    within: float = Field(0.3, ge=0)
    """How much a product's own picture and text count beside queries and products."""
    weighted: bool = True
    """The five count by the experts that serve them; false: whatever the routing."""
    sharpness: float = Field(30.0, gt=0)
    """How fast W*, which says what objectives an expert serves, tells them apart: its factor in the softmax."""
    weight_balance: float = Field(0.1, ge=0)
    """No objective is forgotten."""
    sparsity: float = Field(0.01, ge=0)
    """An expert serves few objectives."""
    naive: bool = False
    """Let the loss lower the weight of what is hard, for comparison."""

    @model_validator(mode="after")
    def _weights_are_steered_if_there_are_any(self) -> AlignmentConfig:
        steering = ("sharpness", "weight_balance", "sparsity", "naive")
        fields = type(self).model_fields
        if not self.weighted and (idle := [name for name in steering if getattr(self, name) != fields[name].default]):
            raise ValueError(f"weighted: false leaves {idle[0]} nothing to do; set it to its default, {fields[idle[0]].default}, "
                             "or leave it out")  # fmt: skip
        return self


class FilterConfig(Section):
    """Dynamic sample filtering: pairs whose item scores hardly above the negatives count for less."""

    kappa: float = Field(10.0, gt=0)
    """How sharply confidence follows the margin over the negatives."""
    delta: float = Field(0.6, gt=0, le=1)
    """Confidence from which a pair counts fully."""
    start: float = Field(0.05, ge=0)
    """Of the threshold, which falls to 0."""
    hardest: int = Field(5, ge=1)
    """Negatives that the query meets and a pair's item is held against."""
    rescale: bool = False
    """Bring the weights of a loss to a mean of 1: with objectives: dual a kind of query whose margins are small then counts as
    much as the others."""


class PosttrainConfig(OptimConfig):
    """Stage 2: query→item pairs from behaviour, told from the other items of the batch."""

    start: Path | None = None
    """A saved encoder to go on from, with pretrain: null; default: stage 1."""

    actions: list[Action] = Field(["click", "cart", "purchase"], min_length=1)
    """What counts as a choice."""
    weights: dict[Action, Annotated[float, Field(gt=0)]] = Field({})
    """How much a pair counts by its strongest action, default 1; only the ratios matter."""
    pairs: PairsConfig = PairsConfig()
    mix: Annotated[list[PairMix], BeforeValidator(lambda given: MOON_MIX if given is None else given)] = Field(
        MOON_MIX, min_length=1
    )
    """By which views query and item meet; null: MOON's shares. Another one is an error with objectives: dual."""
    blend: Fraction = 0.0
    """Share of the queries shown as a picture alone that are blended with another one; needs train_image_trunk and objectives:
    mix."""
    loss: Literal["info_nce", "circle", "sigmoid"] = "info_nce"
    """InfoNCE, the circle loss or SigLIP's sigmoid loss."""
    circle: CircleConfig = CircleConfig()
    negatives: NegativesConfig = NegativesConfig()
    triplet: TripletConfig | None = None
    objectives: Literal["mix", "dual"] = "mix"
    """A pair under views drawn from mix, or under all views in five objectives."""
    alignment: AlignmentConfig = AlignmentConfig()
    load_balance: float = Field(0.01, ge=0)
    """How much it counts that experts are used alike."""
    self_supervision: float = Field(0.0, ge=0)
    """λ: how much two views of the chosen products' pictures count beside the pairs."""
    filter: FilterConfig | None = None
    coaugment: Fraction = 0.0
    """Share of the items' texts, and of their pictures, that `openmoon data augment` made."""

    @model_validator(mode="after")
    def _parts_fit_the_objectives(self) -> PosttrainConfig:
        if self.objectives == "dual" and (self.blend or self.mix != MOON_MIX):
            raise ValueError("mix and blend have no effect with objectives: dual, which shows every view; leave them out")
        return self

    @model_validator(mode="after")
    def _nothing_is_without_effect(self) -> PosttrainConfig:
        if idle := [action for action in self.weights if action not in self.actions]:
            raise ValueError(f"weights names {idle[0]}, which is not among actions; add it there or leave the weight out")
        if self.alignment != AlignmentConfig() and self.objectives != "dual":
            raise ValueError("alignment belongs to objectives: dual; set that, or leave it out")
        if not self.negatives.queue and not (self.negatives.queue_moments and self.negatives.queue_still):
            raise ValueError("negatives.queue_moments and queue_still say how a queue is used; set negatives.queue, or leave "
                             "them out")  # fmt: skip
        if self.circle != CircleConfig() and self.loss != "circle":
            raise ValueError("circle belongs to loss: circle; set that, or leave it out")
        if self.pairs.signal == "co-click" and (self.objectives == "dual" or self.negatives.left or self.negatives.pool):
            raise ValueError("co-click pairs have no shopper's query: use objectives: mix, and neither negatives.left nor "
                             "negatives.pool")  # fmt: skip
        return self

    @model_validator(mode="after")
    def _left_is_not_chosen(self) -> PosttrainConfig:
        if self.negatives.left and "click" in self.actions:
            raise ValueError("negatives.left are products that were clicked and left, but actions takes clicks for choices; "
                             "set actions: [cart, purchase]")  # fmt: skip
        if self.triplet and not self.negatives.left:
            raise ValueError("triplet compares with products that were clicked and left; set negatives.left: 1 or more")
        return self

    @model_validator(mode="after")
    def _parts_fit_the_loss(self) -> PosttrainConfig:
        if self.loss != "info_nce" and (self.blend or self.negatives.popularity):
            raise ValueError(f"blend and negatives.popularity belong to info_nce, not to {self.loss}; switch them off")
        for name in ("temperature", "learn_temperature") if self.loss == "circle" and not self.self_supervision else ():
            if getattr(self, name) != OptimConfig.model_fields[name].default:
                raise ValueError(f"{name} has no effect on the circle loss, whose scale is circle.gamma; leave it out")
        return self

    @model_validator(mode="after")
    def _blend_has_an_effect(self) -> PosttrainConfig:
        if self.blend and not self.train_image_trunk:
            raise ValueError(
                "blend mixes pixels, which a frozen image trunk does not see; set train_image_trunk: true or blend: 0"
            )
        if self.blend and all(shown.query != "image" for shown in self.mix):
            raise ValueError("blend mixes queries that are shown as a picture alone, of which mix has none; add one with "
                             "query: image, or set blend: 0")  # fmt: skip
        return self
