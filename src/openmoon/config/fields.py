"""Every field of a recipe: what it takes, its default, what it means. Read off the sections, so it cannot fall behind them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from openmoon.config.recipe import Recipe
from openmoon.errors import UserError, nearest

TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null",
         "object": "mapping"}  # fmt: skip
FORMATS = {"path": "path", "date-time": "moment"}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
Schema = dict[str, Any]


@dataclass(frozen=True)
class RecipeField:
    """`path` as in overrides, with [] behind a list; `default` as an override takes it, None where the field must be given."""

    path: str
    takes: str
    default: str | None
    meaning: str


def recipe_fields(prefix: str = "") -> list[RecipeField]:
    """The fields below `prefix` ("" for all), in the order of the sections. Raises `UserError` for a prefix that is none."""
    schema = Recipe.model_json_schema()
    fields = list(_fields(schema, schema["$defs"], ""))
    found = [field for field in fields if not prefix or f"{field.path}.".replace("[]", "").startswith(f"{prefix}.")]
    if not found:
        known = {field.path.replace("[]", "").rsplit(".", cut)[0] for field in fields for cut in (0, 1)}
        raise UserError(f"fields: a recipe has no {prefix!r}.{nearest(prefix, sorted(known))}")
    return found


def _fields(section: Schema, defs: dict[str, Schema], prefix: str) -> Iterator[RecipeField]:
    for name, schema in section["properties"].items():
        path, below = prefix + name, list(_sections(schema, defs))
        is_list, optional = "items" in schema, {"type": "null"} in schema.get("anyOf", ())
        if is_list or optional or not below:
            default = _shown(schema["default"], bool(below) and not is_list) if "default" in schema else None
            meaning = schema.get("description") or below[0]["description"].split("\n\n")[0]
            yield RecipeField(path, _takes(schema), default, " ".join(meaning.split()))
        for inner in below:
            yield from _fields(inner, defs, f"{path}[]." if is_list else f"{path}.")


def _sections(schema: Schema, defs: dict[str, Schema]) -> Iterator[Schema]:
    """The sections that a field holds, or a list of them."""
    for one in (schema, *schema.get("anyOf", ()), schema.get("items", {})):
        if "$ref" in one:
            yield defs[one["$ref"].rsplit("/", 1)[-1]]


def _takes(schema: Schema) -> str:
    if "anyOf" in schema:
        return " or ".join(map(_takes, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "$ref" in schema:
        return "section"
    if schema["type"] == "array":
        return f"list of {_takes(schema['items'])}"
    kind = FORMATS.get(schema.get("format", ""), TYPES[schema["type"]])
    bounds = [f"{sign} {schema[name]:,}" for name, sign in BOUNDS.items() if name in schema]
    return f"{kind} {', '.join(bounds)}" if bounds else kind


def _shown(default: Any, section: bool) -> str:
    if section and default is not None:
        return "{}"  # with the defaults of its fields
    return default if isinstance(default, str) else json.dumps(default)
