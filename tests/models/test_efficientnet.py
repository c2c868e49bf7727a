"""Our forward of the package's EfficientNet-Lite against the package's own, with statistics that stay as they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from openmoon.models.efficientnet import EFFICIENTNETS, EfficientNetFeatures
from openmoon.models.unfreeze import unfreeze


def features(name: str, blocks: bool | int = True) -> EfficientNetFeatures:
    """Random weights and statistics, float64, as they are trained."""
    torch.manual_seed(0)
    model = EfficientNetFeatures(name, pretrained=False).double()
    unfreeze(model, blocks, "blocks")
    for module in model.train().modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.running_var, module.weight, module.bias):
                assert values is not None
                values.data.uniform_(0.5, 1.5)
            module.eval()
    return model


def with_gradients(model: nn.Module, forward: Callable[[Tensor], Tensor], pixels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(1)  # which blocks are skipped
    found = forward(pixels)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    (found * torch.linspace(-1, 1, found.numel()).view_as(found).to(found)).sum().backward()
    gradients = {name: parameter.grad for name, parameter in trained.items()}
    model.zero_grad(set_to_none=True)
    return found.detach(), {name: gradient for name, gradient in gradients.items() if gradient is not None}


@pytest.mark.parametrize(("name", "blocks"), [*((name, True) for name in EFFICIENTNETS), (EFFICIENTNETS[0], 3)])
def test_outputs_and_gradients_are_the_packages(name: str, blocks: bool | int) -> None:
    model = features(name, blocks)
    pixels = torch.rand(3, 3, 72, 72, dtype=torch.float64)  # sizes are odd further on
    ours, theirs = (with_gradients(model, forward, pixels) for forward in (model, model.net.extract_features))
    torch.testing.assert_close(ours[0], theirs[0])
    assert set(ours[1]) == set(theirs[1])
    assert {name for name, value in theirs[1].items() if value.abs().max() > 1e-8} > {"net._conv_head.weight", "net._bn1.bias"}
    for name, gradient in theirs[1].items():
        torch.testing.assert_close(ours[1][name], gradient, msg=lambda text, name=name: f"{name}: {text}")


def test_blocks_are_skipped_in_training_alone() -> None:
    model, pixels = features(EFFICIENTNETS[0]), torch.rand(3, 3, 64, 64, dtype=torch.float64)
    assert not torch.equal(model(pixels), model(pixels))
    model.eval()
    torch.testing.assert_close(model(pixels), model(pixels), rtol=0, atol=0)


def test_less_than_half_is_kept_for_the_backward_pass() -> None:
    model, pixels = features(EFFICIENTNETS[0]), torch.rand(2, 3, 64, 64, dtype=torch.float64)
    assert kept(model, model, pixels) < 0.5 * kept(model, model.net.extract_features, pixels)


def kept(model: nn.Module, forward: Callable[[Tensor], Tensor], pixels: Tensor) -> int:
    """Bytes of what autograd keeps besides weights, each memory once."""
    weights = {value.untyped_storage().data_ptr() for value in (*model.parameters(), *model.buffers())}
    found: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.ndim == 4 and len(tensor) == len(pixels) and tensor.untyped_storage().data_ptr() not in weights:
            found[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        output = forward(pixels)
    assert output.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in found.values())
