"""The recipe as a whole, and how it is read: YAML, a base, overrides, environment variables; mistakes are named."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from openmoon.config.augment import AugmentConfig
from openmoon.config.ctr import CtrConfig
from openmoon.config.data import DataConfig, EmbedConfig, EvaluateConfig
from openmoon.config.encoder import EncoderConfig
from openmoon.config.posttrain import PosttrainConfig
from openmoon.config.section import Section
from openmoon.config.training import PretrainConfig
from openmoon.errors import UserError, nearest


class Recipe(Section):
    """Everything a run needs. Results go to `workdir`."""

    name: str
    """What the run is called, in results and in the encoder column of vectors tables."""
    workdir: Path
    """Where everything goes; relative to where the command runs."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Of what is random in training and evaluation. The split and CTR models have seeds of their own, the kept views of a frozen
    image trunk none."""
    data: DataConfig = DataConfig()
    encoder: EncoderConfig = EncoderConfig()
    pretrain: PretrainConfig | None = PretrainConfig()
    posttrain: PosttrainConfig | None = PosttrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    embed: EmbedConfig = EmbedConfig()
    augment: AugmentConfig = AugmentConfig()
    ctr: CtrConfig | None = None

    @model_validator(mode="after")
    def _one_start(self) -> Recipe:
        if self.pretrain is not None and self.posttrain is not None and self.posttrain.start is not None:
            raise ValueError("posttrain.start takes the place of stage 1; set pretrain: null")
        return self

    @model_validator(mode="after")
    def _routing_needs_experts(self) -> Recipe:
        if self.posttrain is None or self.encoder.fusion.experts:
            return self
        usual, given = type(self.posttrain)(), self.posttrain
        steering = [name for name in ("weighted", "sharpness", "weight_balance", "sparsity", "naive")
                    if getattr(given.alignment, name) != getattr(usual.alignment, name)]  # fmt: skip
        if steering or given.load_balance != usual.load_balance:
            name = f"alignment.{steering[0]}" if steering else "load_balance"
            raise ValueError(f"posttrain.{name} steers how experts are used, but there are none; set encoder.fusion.experts: 4, "
                             "or leave it out")  # fmt: skip
        return self

    @model_validator(mode="after")
    def _views_differ(self) -> Recipe:
        for name, stage in (("pretrain", self.pretrain), ("posttrain", self.posttrain)):
            if stage and stage.self_supervision and not stage.views_differ and not self.encoder.fusion.dropout:
                raise ValueError(f"{name}.self_supervision compares two views of a picture, which are the same without augment "
                                 f"and augment_views; raise them, or set {name}.self_supervision: 0")  # fmt: skip
        return self

    @model_validator(mode="after")
    def _experts_are_trained(self) -> Recipe:
        if self.encoder.fusion.experts and self.posttrain is None:
            raise ValueError("encoder.fusion.experts come with stage 2, which posttrain: null switches off; leave one out")
        return self

    @model_validator(mode="after")
    def _queries_are_in_events(self) -> Recipe:
        if self.embed.queries and self.data.events is None:
            raise ValueError("embed.queries embeds the queries of the events, but there is no events table; name it in "
                             "data.events, or leave embed.queries out")  # fmt: skip
        return self


_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_UNSET = re.compile(r"<(\w+) is not set>")
_NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)  # ValueError: not UTF-8, or a date that is none


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is a mistake: the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, apply `dotted.key=value` overrides and check every field.

    `${NAME}` and `${NAME:-default}` take environment variables; `base: other.yaml` starts from another recipe, of which it
    changes what it names. Raises `UserError` naming file, field, value and the nearest known key.
    """
    tree = _read(Path(path))
    for override in overrides:
        _apply(tree, override)
    if name := _UNSET.search(str(tree)):
        raise UserError(f"{path}: the environment variable {name[1]} is not set; set it, or override the field that takes it.")
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{path}: " + "; ".join(_explain(e) for e in error.errors())) from error


def load_data(overrides: Sequence[str], catalog: Path) -> DataConfig:
    """The `data` section of a command that takes a catalogue instead of a recipe: `overrides` say how its table is read.

    Raises `UserError` as `load_recipe` does, and for an override of anything but data.columns.catalog and data.attributes.
    """
    tree: dict[str, Any] = {"data": {}}
    for override in overrides:
        if not override.startswith(("data.columns.catalog", "data.attributes")):
            raise UserError(f"override {override!r}: this command takes no recipe but how the table is read: data.attributes and "
                            "data.columns.catalog, such as data.columns.catalog.product_id=sku.")  # fmt: skip
        _apply(tree, override)
    try:
        return DataConfig.model_validate({**tree["data"], "catalog": catalog})
    except ValidationError as error:
        raise UserError("; ".join(_explain({**e, "loc": ("data", *e["loc"])}) for e in error.errors())) from error


def _read(path: Path, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The tree of a recipe laid over that of its `base`, if it names one; `below` are the recipes that led here."""
    if not path.is_file():
        named = f" ({below[-1]} names it as its base)" if below else " The shipped ones are in recipes/*.yaml."
        raise UserError(f"{path}: no such recipe.{named}")
    if path.resolve() in below:
        raise UserError(f"{path}: is its own base, through {' and '.join(str(p) for p in below)}.")
    try:
        tree = yaml.load(_expand(path.read_text(encoding="utf-8")), _Loader) or {}
    except _NOT_YAML as error:
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


def _expand(text: str) -> str:
    """Variables by their values. What is not set is told of later: a comment or an overridden field may name it."""

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        return os.environ.get(name, default if default is not None else f"<{name} is not set>")

    return _VARIABLE.sub(value, text)


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
        node[leaf] = yaml.load(value, _Loader)
    except _NOT_YAML as error:
        raise UserError(
            f"override {override!r}: {value!r} is not a YAML value: {' '.join(str(error).split())}"
        ) from error


def _explain(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown key {field!r}.{_nearest_key(error['loc'])}"
    if error["type"] == "literal_error" and error["loc"][-1:] == ("[key]",):  # of a mapping whose keys are known
        known = re.findall(r"'(.*?)'", error["ctx"]["expected"])
        hint = nearest(str(error["input"]), known) or f" Known here: {', '.join(known)}."
        return f"unknown key {field.removesuffix('.[key]')!r}.{hint}"
    field = field.removesuffix(".[key]")
    got = "" if isinstance(error["input"], dict) else f" (got {error['input']!r})"  # a section is long, and in the recipe
    if error["input"] is None and ":" in str(error["loc"][-1:]):
        got = " (got nothing; write a space after the colon)"
    return f"{field}: {error['msg'].removeprefix('Value error, ')}{got}".removeprefix(": ")


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
