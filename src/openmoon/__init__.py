"""OpenMOON: the open implementation of the MOON line of e-commerce multimodal representation learning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openmoon.models.encoder import ProductEncoder

__all__ = ["ProductEncoder"]


def __getattr__(name: str) -> Any:
    if name == "ProductEncoder":  # torch is imported when somebody needs it, after the process was tuned
        from openmoon.runtime import tune_process

        tune_process()
        from openmoon.models.encoder import ProductEncoder

        return ProductEncoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
