"""The reference of the recipe is complete."""

from __future__ import annotations

import pytest

from openmoon.config import load_recipe
from openmoon.config.fields import recipe_fields
from openmoon.errors import UserError
from tests.test_recipes import FOLDER


@pytest.mark.parametrize("field", recipe_fields(), ids=lambda field: field.path)
def test_every_field_says_what_it_means(field) -> None:  # type: ignore[no-untyped-def]
    assert field.meaning.endswith(".")
    assert field.takes


def test_what_is_told_is_so() -> None:
    found = {field.path: field for field in recipe_fields()}
    assert (found["posttrain.lr"].takes, found["posttrain.lr"].default) == ("number > 0", "0.0003")
    assert found["posttrain.mix[].item"].takes == "title | rich | image | title+image | rich+image"
    assert found["encoder.dims"].takes == "list of whole number ≥ 1"
    assert found["name"].default is None
    assert (found["posttrain.filter"].takes, found["posttrain.filter"].default) == ("section or null", "null")
    sections = ("data.split", "encoder", "evaluate", "embed")
    told = [f"{f.path}={f.default}" for section in sections for f in recipe_fields(section)]
    assert len(told) > 20
    empty = load_recipe(FOLDER / "sample.yaml", [f"{section}={{}}" for section in sections])
    assert load_recipe(FOLDER / "sample.yaml", told) == empty


def test_what_is_told_can_be_said() -> None:
    """A field and its default, as they are shown, are an override."""
    need_others = ("posttrain.triplet", "augment.texts.endpoint.")
    told = [f"{field.path}={field.default}" for field in recipe_fields() if field.default is not None and "[]" not in field.path
            and not (field.path.startswith(need_others) and "." in field.path.removeprefix("posttrain."))]  # fmt: skip
    assert len(told) > 150
    for override in told:
        load_recipe(FOLDER / "sample.yaml", [override])


def test_a_section_alone() -> None:
    assert [field.path for field in recipe_fields("posttrain.circle")] == ["posttrain.circle.gamma", "posttrain.circle.margin"]
    assert [field.path for field in recipe_fields("seed")] == ["seed"]
    assert {field.path for field in recipe_fields("posttrain.mix")} >= {"posttrain.mix", "posttrain.mix[].share"}
    with pytest.raises(UserError, match=r"a recipe has no 'posttrian'\. Did you mean 'posttrain'\?"):
        recipe_fields("posttrian")
