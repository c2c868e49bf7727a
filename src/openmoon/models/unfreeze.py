"""Which part of a pretrained trunk is trained: nothing, its last blocks, or all of it."""

from __future__ import annotations

from torch import nn

from openmoon.errors import UserError


def unfreeze(trunk: nn.Module, blocks: bool | int, name: str) -> None:
    """Let all parameters of `trunk` be trained (True), none (False), or those from its `blocks`-th last block on.

    Blocks are the elements of the longest list of layers, in the order in which the trunk registers them. The first
    blocks of a convolutional trunk see the largest maps: leaving them alone saves most. Raises
    `UserError`, naming the recipe's field `name`, for more blocks than there are.
    """
    trunk.requires_grad_(bool(blocks))
    if isinstance(blocks, bool) or not blocks:
        return
    layers = max((m for m in trunk.modules() if isinstance(m, nn.ModuleList)), key=len, default=nn.ModuleList())
    if blocks > len(layers):
        raise UserError(f"{name}: {blocks} blocks, but the trunk has {len(layers)}; use true to train all of it.")
    first = next(layers[-blocks].parameters())
    for parameter in trunk.parameters():
        if parameter is first:
            break
        parameter.requires_grad_(False)
