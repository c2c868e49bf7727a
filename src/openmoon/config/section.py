"""What all sections of a recipe share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

View = Literal["title", "rich", "image", "title+image", "rich+image"]
Action = Literal["click", "cart", "purchase"]
Spare = Literal["nothing", "inputs", "answers", "visits"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the recipe; unknown keys are errors, not silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)
