"""The recipe: one YAML file that says what to read, what to build, how to train it and where results go.

`load_recipe(path, ["posttrain.epochs=3", ...])` is the only way in. Config objects stop at the builders (`steps/`);
below them functions take plain values.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from openmoon.errors import UserError, nearest

View = Literal["title", "rich", "image", "title+image", "rich+image"]
Action = Literal["click", "cart", "purchase"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the recipe; unknown keys are errors, not silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitConfig(Section):
    """How products and queries are divided.

    `product` holds whole SPUs out. `given` uses the `split` column of events: with train, val and test labels, val decides
    early stopping and test is measured; with train and val only, val is measured and the share `val` of the train queries
    decides early stopping. No product is held out then.
    """

    by: Literal["product", "given"] = "product"
    val: Fraction = 0.1
    test: Fraction | int = 0.2  # a share, or a number of products
    seed: int = 0
    together: Literal["spu", "look-alikes"] = "look-alikes"  # products that share a picture count as one SPU, or not


class DataConfig(Section):
    """The three tables, as paths below `root`, and how foreign column names map onto ours (ours: theirs)."""

    root: Path = Path()
    catalog: Path = Path("catalog.parquet")
    events: Path | None = None
    creatives: Path | None = None
    queries: Path | None = None  # labelled queries for evaluation only: query_text, query_image, product_id
    columns: dict[Literal["catalog", "events", "creatives"], dict[str, str]] = {}
    attributes: list[str] = []  # catalogue columns gathered into the attributes of a product
    split: SplitConfig = SplitConfig()
    cache: Path | None = None  # decoded images and frozen tokens; default: <workdir>/cache


class ImageTrunkConfig(Section):
    """`trunk` is efficientnet-lite0, -lite1 or -lite2, or the name or folder of any Hugging Face vision model."""

    trunk: str = "efficientnet-lite0"
    size: int = Field(224, ge=32, le=1024)  # side of the square picture in pixels
    grid: int = Field(0, ge=0, le=32)  # pool the feature map to grid x grid tokens; 0 keeps it as it is


class TextTrunkConfig(Section):
    """`trunk` is minilm-l6 or the name or folder of any Hugging Face text model."""

    trunk: str = "minilm-l6"
    max_tokens: int = Field(64, ge=4, le=512)


class FusionConfig(Section):
    """The transformer over the tokens of both trunks."""

    width: int = Field(256, ge=16)
    layers: int = Field(2, ge=0, le=48)
    heads: int = Field(4, ge=1)
    expansion: float = Field(2.0, gt=0)  # hidden width of the FFN / width
    dropout: Fraction = 0.0
    pooling: Literal["modality", "token"] = "modality"
    experts: int = Field(0, ge=0, le=64)  # modality-driven experts in the later half of the layers, from stage 2 on; 0 = dense
    top: int = Field(2, ge=1)  # of them see each token


class EncoderConfig(Section):
    """The compact encoder. `dims` are the Matryoshka dimensions; the largest is the vector's length."""

    image: ImageTrunkConfig = ImageTrunkConfig()
    text: TextTrunkConfig = TextTrunkConfig()
    fusion: FusionConfig = FusionConfig()
    dims: list[Annotated[int, Field(ge=1)]] = Field([64, 128, 256], min_length=1)

    def dense(self) -> EncoderConfig:
        """The same without experts: what stage 1 trains."""
        return self.model_copy(update={"fusion": self.fusion.model_copy(update={"experts": 0})})


class OptimConfig(Section):
    """AdamW with linear warm-up and cosine decay to zero."""

    batch_size: int = Field(128, ge=2)
    epochs: int = Field(10, ge=1)
    max_steps: int | None = Field(None, ge=1)
    lr: float = Field(3e-4, gt=0)  # fusion and projections
    trunk_lr: float = Field(1e-4, gt=0)  # trunks, where they are trained
    weight_decay: float = Field(0.05, ge=0)
    warmup: Fraction = 0.1
    clip: float = Field(1.0, gt=0)
    train_image_trunk: bool | int = Field(False, ge=0)  # true: all of it; a number: its last blocks only
    train_text_trunk: bool | int = Field(False, ge=0)
    temperature: float = Field(0.05, gt=0)
    average: float = Field(
        0.99, ge=0, lt=1
    )  # decay of the running mean of the weights, which is what is kept; 0 = none
    checkpoint_every: int = Field(100, ge=1)  # steps
    validate_every: int = Field(0, ge=0)  # steps; 0 = once an epoch
    patience: int = Field(5, ge=1)  # validations without a better score before stopping early
    augment: Fraction = 0.5  # strength of the picture augmentation, 0 = none
    augment_views: int = Field(2, ge=0)  # augmented views kept per picture while the image trunk is frozen
    crop: int | None = Field(None, ge=32)  # side of the training crop; default: the encoder's image size
    chunk: int = Field(0, ge=0)  # rows in the encoder at once (GradCache): memory no longer grows with batch_size; 0 = all


class PretrainConfig(OptimConfig):
    """Stage 1: image↔text of one product and self-supervision on pictures."""

    image_text: float = Field(1.0, ge=0)
    self_supervision: float = Field(2.0, ge=0)

    @model_validator(mode="after")
    def _one_objective(self) -> PretrainConfig:
        if not self.image_text and not self.self_supervision:
            raise ValueError(
                "image_text and self_supervision are both 0, so there is nothing to learn; use pretrain: null"
            )
        return self


class PairMix(Section):
    """A share of the training pairs: which view of the query meets which view of the item."""

    query: Literal["text", "image", "text+image", "rich+image"]  # rich+image: another product chosen for the query
    item: View
    share: float = Field(gt=0)


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

    signal: Literal["search", "co-click"] = "search"  # co-click: products clicked in a row, to compare with
    per_user: int = Field(0, ge=0)  # pairs of one shopper; 0 = all
    per_item: int = Field(0, ge=0)  # pairs of one product; 0 = all
    merge_spus: bool = False  # of one SPU's SKUs the most chosen stands for all
    entities: int = Field(0, ge=0)  # texts must name so many things (type, brand, colour …); 2b asks for 2
    hardest_query: bool = False  # of an SPU's queries only the one that the encoder that training starts from finds least alike
    match_categories: bool = False  # resample to the categories' shares of the impressions


class MinedConfig(Section):
    """Hard negatives of the item's category, mined by the encoder that is being trained."""

    count: int = Field(1, ge=1)  # drawn for each pair and step
    depth: int = Field(20, ge=1)  # of so many that score highest
    margin: float = Field(0.05, ge=0, le=2)  # and at least this far below the pair's own item: nearer ones may be right too
    every: int = Field(200, ge=1)  # steps between two minings


class PoolConfig(Section):
    """The class-aware pool of the click-supervised encoder."""

    count: int = Field(1, ge=1)  # drawn for each pair and step
    same: Fraction = 0.5  # share of the item's category, shown for the query and not clicked; the rest is of other categories


class NegativesConfig(Section):
    """What a query is compared with besides the other items of its batch, and what is taken out as a likely false negative."""

    queue: int = Field(0, ge=0)  # item vectors of earlier steps (temporal negatives); 8 to 64 batches are usual
    margin: float | None = Field(None, ge=0, le=2)  # mask what scores higher than the own item by more than this
    session: bool = False  # mask the items of other pairs of the same visit
    left: int = Field(0, ge=0)  # products clicked for the query but neither carted nor bought, per pair
    mined: MinedConfig | None = None
    pool: PoolConfig | None = None
    popularity: bool = False  # logQ correction: do not push popular items away for being popular (info_nce only)


class CircleConfig(Section):
    """The circle loss's scale γ and margin m."""

    gamma: float = Field(32.0, gt=0)
    margin: Fraction = 0.25


class TripletConfig(Section):
    """What was chosen against what was clicked and left, beside the loss; needs `negatives.left`."""

    margin: float = Field(0.1, ge=0, le=2)
    weight: float = Field(1.0, gt=0)


class AlignmentConfig(Section):
    """The five objectives of `objectives: dual`, and on an encoder with experts what steers routing and their weights."""

    within: float = Field(0.3, ge=0)  # how much a product's own picture and text count beside queries and products
    load_balance: float = Field(0.01, ge=0)  # experts are used alike
    weight_balance: float = Field(0.1, ge=0)  # no objective is forgotten
    sparsity: float = Field(0.01, ge=0)  # an expert serves few objectives
    naive: bool = False  # let the loss lower the weight of what is hard, for comparison


class FilterConfig(Section):
    """Dynamic sample filtering: pairs whose item scores hardly above the negatives count for less."""

    kappa: float = Field(10.0, gt=0)
    delta: float = Field(0.6, gt=0, le=1)  # confidence from which a pair counts fully
    start: float = Field(0.05, ge=0)  # of the threshold, which falls to 0
    hardest: int = Field(5, ge=1)  # negatives of the batch that a pair's item is held against


class PosttrainConfig(OptimConfig):
    """Stage 2: query→item pairs from behaviour, told from the other items of the batch."""

    start: Path | None = None  # a saved encoder to go on from, with pretrain: null; default: stage 1

    actions: list[Action] = Field(["click", "cart", "purchase"], min_length=1)
    weights: dict[Action, Annotated[float, Field(gt=0)]] = {}  # how much a pair counts by its strongest action; default 1
    pairs: PairsConfig = PairsConfig()
    mix: list[PairMix] = Field(MOON_MIX, min_length=1)
    blend: Fraction = 0.0  # share of the picture queries that are blended with another one; needs train_image_trunk
    loss: Literal["info_nce", "circle", "sigmoid"] = "info_nce"
    circle: CircleConfig = CircleConfig()
    negatives: NegativesConfig = NegativesConfig()
    triplet: TripletConfig | None = None
    objectives: Literal["mix", "dual"] = "mix"  # a pair under views drawn from mix, or under all views in five objectives
    alignment: AlignmentConfig = AlignmentConfig()
    filter: FilterConfig | None = None
    coaugment: Fraction = 0.0  # share of the items' texts, and of their pictures, that `openmoon data augment` made

    @model_validator(mode="after")
    def _parts_fit_the_objectives(self) -> PosttrainConfig:
        if self.objectives == "dual" and (self.blend or "mix" in self.model_fields_set):
            raise ValueError("mix and blend have no effect with objectives: dual, which shows every view; leave them out")
        return self

    @model_validator(mode="after")
    def _nothing_is_without_effect(self) -> PosttrainConfig:
        given = self.model_fields_set
        if idle := [action for action in self.weights if action not in self.actions]:
            raise ValueError(f"weights names {idle[0]}, which is not among actions; add it there or leave the weight out")
        if "alignment" in given and self.objectives != "dual":
            raise ValueError("alignment belongs to objectives: dual; set that, or leave it out")
        if "circle" in given and self.loss != "circle":
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
        return self

    @model_validator(mode="after")
    def _blends_need_pixels(self) -> PosttrainConfig:
        if self.blend and not self.train_image_trunk:
            raise ValueError(
                "blend mixes pixels, which a frozen image trunk does not see; set train_image_trunk: true or blend: 0"
            )
        return self


class EvaluateConfig(Section):
    """Which items are ranked (`test` = held-out products only) and how many queries at most are asked."""

    pool: Literal["test", "all"] = "test"
    max_queries: int = Field(20000, ge=1)


class EmbedConfig(Section):
    """Catalogue → vectors table."""

    view: View = "rich+image"
    batch_size: int = Field(32, ge=1)


class EndpointConfig(Section):
    """A vision-language model behind an OpenAI-compatible chat-completions endpoint, which writes enriched texts."""

    url: str  # such as https://host/v1
    model: str
    key: str | None = Field(None, pattern=r"^\w+$")  # name of the environment variable that holds the key; null = no key
    timeout: float = Field(60.0, gt=0)  # seconds
    retries: int = Field(4, ge=0)
    backoff: float = Field(1.0, ge=0)  # seconds before the second try, doubled for each further one
    concurrency: int = Field(8, ge=1, le=256)  # requests under way at once
    side: int = Field(512, ge=32, le=4096)  # pixels of the longer side of the picture that is sent
    max_tokens: int = Field(200, ge=16)


class EnrichmentConfig(Section):
    """Texts T⁺ from title, description, category and attributes. Brands, numbers, sizes and model codes stay as they are."""

    templates: int = Field(2, ge=0, le=20)  # texts per product from templates
    endpoint: EndpointConfig | None = None  # one more per product from a model
    protect: list[str] = []  # attributes besides brands whose values in the title must stay verbatim


class ExpansionConfig(Section):
    """Pictures of the cut-out subject before other backgrounds, from other viewpoints, in other light."""

    per_product: int = Field(2, ge=0, le=20)
    side: int = Field(1024, ge=64)  # pixels of the longer side, at most
    format: Literal["jpeg", "webp"] = "jpeg"


class AugmentConfig(Section):
    """Image-text co-augmentation of the training products, and the gate that drops what no longer shows its product."""

    texts: EnrichmentConfig = EnrichmentConfig()
    pictures: ExpansionConfig = ExpansionConfig()
    nearer: Fraction = 0.99  # share of other products that must be further from what was made than its own
    slack: Fraction = 0.05  # by which title and picture may match less than the original ones do, as such a share
    others: int = Field(1000, ge=1)  # products to compare with

    @model_validator(mode="after")
    def _something_to_make(self) -> AugmentConfig:
        if not self.texts.templates and self.texts.endpoint is None and not self.pictures.per_product:
            raise ValueError("texts.templates and pictures.per_product are 0 and there is no texts.endpoint: nothing to make")
        return self


class Recipe(Section):
    """Everything a run needs. Results go to `workdir`."""

    name: str
    workdir: Path
    seed: int = Field(0, ge=0)
    data: DataConfig = DataConfig()
    encoder: EncoderConfig = EncoderConfig()
    pretrain: PretrainConfig | None = PretrainConfig()
    posttrain: PosttrainConfig | None = PosttrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    embed: EmbedConfig = EmbedConfig()
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _one_start(self) -> Recipe:
        if self.pretrain is not None and self.posttrain is not None and self.posttrain.start is not None:
            raise ValueError("posttrain.start takes the place of stage 1; set pretrain: null")
        return self


_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, apply `dotted.key=value` overrides and check every field.

    `${NAME}` and `${NAME:-default}` take environment variables; `base: other.yaml` starts from another recipe, of which it
    changes what it names. Raises `UserError` naming file, field, value and the nearest known key.
    """
    tree = _read(Path(path))
    for override in overrides:
        _apply(tree, override)
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{path}: " + "; ".join(_explain(e) for e in error.errors())) from error


def _read(path: Path, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The tree of a recipe laid over that of its `base`, if it names one; `below` are the recipes that led here."""
    if not path.is_file():
        named = f" ({below[-1]} names it as its base)" if below else " The shipped ones are in recipes/*.yaml."
        raise UserError(f"{path}: no such recipe.{named}")
    if path.resolve() in below:
        raise UserError(f"{path}: is its own base, through {' and '.join(str(p) for p in below)}.")
    try:
        tree = yaml.safe_load(_expand(path.read_text(encoding="utf-8"), path)) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML in UTF-8: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected a mapping of recipe keys, found {type(tree).__name__}.")
    if (base := tree.pop("base", None)) is None:
        return tree
    return _overlay(_read(path.parent / str(base), (*below, path.resolve())), tree)


def _overlay(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`change` laid over `base`, sections key by key, everything else whole."""
    both = {key: _overlay(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
            for key, value in change.items()}  # fmt: skip
    return {**base, **both}


def _expand(text: str, path: Path) -> str:
    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        found = os.environ.get(name, default)
        if found is None:
            raise UserError(f"{path}: the environment variable {name} is not set; set it, or override the field.")
        return found

    return "\n".join(line if line.lstrip().startswith("#") else _VARIABLE.sub(value, line) for line in text.split("\n"))


def _apply(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise UserError(f"override {override!r}: expected key=value, such as posttrain.epochs=3.")
    *parents, leaf = key.split(".")
    node = tree
    for parent in parents:
        child = node.get(parent)
        if not isinstance(child, dict):
            child = node[parent] = {}
        node = child
    try:
        node[leaf] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(
            f"override {override!r}: {value!r} is not a YAML value: {' '.join(str(error).split())}"
        ) from error


def _explain(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown key {field!r}.{_nearest_key(error['loc'])}"
    return f"{field}: {error['msg']} (got {error['input']!r})"


def _nearest_key(loc: Sequence[str | int]) -> str:
    known = dict(_paths(Recipe, ()))
    siblings = known.get(tuple(str(p) for p in loc[:-1] if not isinstance(p, int)), [])
    if hint := nearest(str(loc[-1]), siblings):
        return hint
    elsewhere = [".".join((*parents, name)) for parents, names in known.items() for name in names]
    leaf = [path for path in elsewhere if path.rsplit(".", 1)[-1] == str(loc[-1])]
    close = leaf or difflib.get_close_matches(".".join(map(str, loc)), elsewhere, n=1, cutoff=0.75)
    return f" Did you mean {close[0]!r}?" if close else f" Known here: {', '.join(siblings)}."


def _paths(section: type[BaseModel], prefix: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    yield prefix, list(section.model_fields)
    for name, field in section.model_fields.items():
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _paths(kind, (*prefix, name))
