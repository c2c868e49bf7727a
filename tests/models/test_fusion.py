"""The fusion transformer's own shortcuts, against the plain way."""

from __future__ import annotations

import torch
from torch import nn

from openmoon.models.fusion import Fusion, _projected
from openmoon.models.tokens import Tokens


def test_projecting_joins_the_norm_with_the_matrix_and_keeps_every_gradient() -> None:
    project = nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 5)).double()
    nn.init.normal_(project[0].weight)
    nn.init.normal_(project[0].bias)
    values = (torch.randn(3, 4, 12, dtype=torch.float64) + 2).requires_grad_()
    shift = torch.randn(5, dtype=torch.float64, requires_grad=True)
    wanted = [values, shift, *project.parameters()]
    out = torch.randn(3, 4, 5, dtype=torch.float64)
    plain, quick = project(values) + shift, _projected(project, values, shift)
    torch.testing.assert_close(quick, plain)
    for one, other in zip(torch.autograd.grad(quick, wanted, out), torch.autograd.grad(plain, wanted, out), strict=True):
        torch.testing.assert_close(one, other)


def test_tokens_in_half_precision_are_read_as_the_numbers_that_they_are() -> None:
    fusion = Fusion(12, 8, width=16, depth=2, heads=2, hidden=32, dim=16)
    mask = torch.ones(3, 4, dtype=torch.bool)
    half = Tokens(torch.randn(3, 4, 12).half(), mask), Tokens(torch.randn(3, 4, 8).half(), mask)
    full = [Tokens(tokens.values.float(), tokens.mask) for tokens in half]
    torch.testing.assert_close(fusion(*half)[0], fusion(*full)[0], rtol=0, atol=0)
