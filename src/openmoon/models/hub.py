"""Hugging Face models by name or folder, loaded without noise and with errors that name the recipe's field."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openmoon.errors import UserError


def load_hub_model(name: str, saved: Path | None, field: str, builtin: str) -> Any:
    """The model called `name` with its weights, or the bare architecture whose configuration is in the folder `saved`.

    `field` is the recipe's and `builtin` the trunk that needs no hub, both for the error message.
    """
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # its load report lists heads that a trunk does not use
    with told_as(name, saved, field, builtin):
        if saved is not None:
            return AutoModel.from_config(AutoConfig.from_pretrained(saved))
        return AutoModel.from_pretrained(name)


@contextmanager
def told_as(name: str, saved: Path | None, field: str, builtin: str) -> Iterator[None]:
    """What cannot be loaded from a hub, or is damaged in the folder `saved`, as a `UserError` about the recipe's field or it."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if saved is not None:
            raise UserError(f"{saved.parent}: the encoder is damaged ({reason}); save or train it again.") from error
        raise UserError(f"{field}: {name!r} is neither {builtin!r} nor a Hugging Face model that can be loaded here "
                        f"({reason}).") from error  # fmt: skip
