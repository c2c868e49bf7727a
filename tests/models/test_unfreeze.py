"""Which parameters of a trunk are trained."""

from __future__ import annotations

import pytest
from torch import nn

from openmoon.errors import UserError
from openmoon.models.image_trunk import build_image_trunk
from openmoon.models.unfreeze import unfreeze


def trained(module: nn.Module) -> set[str]:
    return {name for name, p in module.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("blocks", [1, 13, 16])
def test_the_last_blocks_of_a_trunk(blocks: int) -> None:
    trunk = build_image_trunk("efficientnet-lite0", 0)
    unfreeze(trunk, blocks, "pretrain.train_image_trunk")
    names = trained(trunk)
    assert {int(n.split("_blocks.")[1].split(".")[0]) for n in names if "_blocks." in n} == set(range(16 - blocks, 16))
    assert any("_conv_head" in n for n in names)
    assert not any("net._conv_stem" in n or "net._bn0" in n for n in names)


def test_all_or_nothing() -> None:
    trunk = build_image_trunk("efficientnet-lite0", 0)
    everything = {name for name, _ in trunk.named_parameters()}
    for blocks, expected in ((True, everything), (False, set()), (0, set())):
        unfreeze(trunk, blocks, "x")
        assert trained(trunk) == expected


def test_more_blocks_than_there_are() -> None:
    with pytest.raises(UserError, match=r"posttrain\.train_image_trunk: 17 blocks, but the trunk has 16"):
        unfreeze(build_image_trunk("efficientnet-lite0", 0), 17, "posttrain.train_image_trunk")
