"""Experts against a loop over tokens, and against the dense layer that they start from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from openmoon import ProductEncoder
from openmoon.config import EncoderConfig
from openmoon.models.encoder import build_encoder, upcycled
from openmoon.models.experts import Experts
from openmoon.models.fusion import FeedForward
from openmoon.models.tokens import Tokens

WIDTH, EXPERTS = 6, 4


def filled(seed: int = 0) -> FeedForward:
    torch.manual_seed(seed)
    dense = FeedForward(WIDTH, 10)
    with torch.no_grad():
        for parameter in dense.parameters():
            parameter.normal_()
    return dense.double()


def apart(top: int) -> Experts:
    """Experts that are no copies of each other, and a router with opinions."""
    experts = Experts(filled(), WIDTH, EXPERTS, top).double()
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.add_(torch.randn_like(parameter))
    return experts


def tokens() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(5, 7, WIDTH, dtype=torch.float64, generator=generator)
    return x, torch.rand(5, 7, generator=generator) < 0.6, torch.tensor([0, 1, 2, 2, 0])


@pytest.mark.parametrize("top", [1, 2, 4])
def test_parity_with_a_loop_over_tokens(top: int) -> None:
    experts = apart(top)
    x, mask, composition = tokens()
    results = []
    for plain in (False, True):
        inputs = x.clone().requires_grad_()
        if plain:
            out = torch.zeros_like(x)
            for b, t in mask.nonzero().tolist():
                gates = (experts.router(inputs[b, t]) + experts.composition[composition[b]]).softmax(-1)
                best = gates.argsort(descending=True)[:top]
                whole = gates[best].sum() if top > 1 else gates[best].sum().detach()
                mixed = sum(gates[z] / whole * experts.experts[z](inputs[b, t]) for z in best.tolist())
                out = out.index_put((torch.tensor([b]), torch.tensor([t])), torch.as_tensor(mixed)[None])
        else:
            out, _ = experts(inputs, mask, composition)
        weights = torch.arange(out.numel(), dtype=torch.float64).view_as(out)
        leaves = [inputs, *experts.parameters()]
        gradients = torch.autograd.grad((out * weights).sum(), leaves, allow_unused=True)
        results.append([out, *(torch.zeros(()).double() if g is None else g for g in gradients)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected.expand_as(found), atol=1e-9, rtol=1e-9)
    assert all(gradient.abs().max() > 1e-3 for gradient in results[0][1:4]), "all that leads to the experts learns"


def test_routing_says_where_tokens_went() -> None:
    experts = apart(2)
    x, mask, composition = tokens()
    _, routing = experts(x, mask, composition)
    for shares in routing:
        torch.testing.assert_close(shares.sum(1), torch.ones(5).double())
    gates = (experts.router(x[2, mask[2]]) + experts.composition[2]).softmax(-1)
    torch.testing.assert_close(routing.probability[2], gates.mean(0))
    counts = gates.topk(2).indices.flatten().bincount(minlength=EXPERTS)
    torch.testing.assert_close(routing.load[2], counts / counts.sum(), check_dtype=False)
    kept = gates * (gates >= gates.topk(2).values[:, 1:])
    torch.testing.assert_close(routing.gate[2], (kept / kept.sum(1, keepdim=True)).mean(0))


def test_the_router_sees_what_an_input_is_composed_of() -> None:
    experts = apart(2)
    x, mask, _ = tokens()
    found = [experts(x, mask, torch.full((5,), kind))[1].probability for kind in range(3)]
    assert all((found[a] - found[b]).abs().max() > 1e-3 for a, b in ((0, 1), (1, 2)))


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_each_composition_leans_to_experts_of_its_own(count: int) -> None:
    torch.manual_seed(0)
    experts = Experts(filled(), WIDTH, count, 1).double()
    x, mask, _ = tokens()
    loads = torch.stack([experts(x, mask, torch.full((5,), kind))[1].load.mean(0) for kind in range(3)])
    favourites = loads.argmax(1)
    assert len(favourites.unique()) == min(count, 3)
    assert (loads.max(1).values > 1 / count).all()


def test_a_router_of_tokens_does_not_see_it() -> None:
    experts = Experts(filled(), WIDTH, EXPERTS, 2, by_modality=False).double()
    x, mask, _ = tokens()
    text, image = (experts(x, mask, torch.full((5,), kind))[1].probability for kind in range(2))
    torch.testing.assert_close(text, image)
    assert not experts.composition.requires_grad


def test_compositions_may_start_alike(tiny_config: EncoderConfig) -> None:
    """An even router sees the composition, of which it has no opinion yet."""
    config = routed_config(tiny_config, router="modality-even")
    experts = [m for m in build_encoder(config).modules() if isinstance(m, Experts)]
    leaning = [m for m in build_encoder(routed_config(tiny_config)).modules() if isinstance(m, Experts)]
    assert experts
    assert all(m.composition.requires_grad and not m.composition.any() for m in experts)
    assert all(m.composition.any() for m in leaning)


def test_the_fusion_says_what_an_input_is_composed_of(tiny_config: EncoderConfig) -> None:
    fusion = build_encoder(routed_config(tiny_config)).fusion
    told: list[Tensor] = []
    for module in fusion.modules():
        if isinstance(module, Experts):
            module.register_forward_pre_hook(lambda _, inputs: told.append(inputs[2]))
    text = Tokens(torch.randn(3, 2, fusion.text_in[1].in_features), torch.tensor([[True, True], [False, False], [True, False]]))
    image = Tokens(torch.randn(3, 4, fusion.image_in[1].in_features), torch.tensor([[False] * 4, [True] * 4, [True] * 4]))
    whole = torch.ones(3, 1, dtype=torch.bool)
    for given, expected in (
        ((image, text), [0, 1, 2]),  # rows without a picture, without words, with both
        ((None, Tokens(text.values, whole.expand(3, 2))), [0, 0, 0]),
        ((Tokens(image.values, whole.expand(3, 4)), None), [1, 1, 1]),
    ):
        told.clear()
        fusion(*given)
        assert told
        assert all(composition.tolist() == expected for composition in told)


def routed_config(config: EncoderConfig, **more: str) -> EncoderConfig:
    return config.model_copy(update={"fusion": config.fusion.model_copy(update={"experts": EXPERTS, **more})})


def test_the_dense_encoder_is_the_same_whatever_the_experts() -> None:
    routed = EncoderConfig.model_validate({"fusion": {"experts": 4, "top": 1, "experts_in": "all", "router": "token"}})
    assert routed.dense() == EncoderConfig()


def batch() -> tuple[Tokens, Tokens]:
    image, text = torch.randn(4, 5, 24), torch.randn(4, 6, 32)
    return Tokens(image, torch.ones(4, 5) > 0), Tokens(text, torch.ones(4, 6) > 0)


@pytest.mark.parametrize(("place", "routers"), [("later", 1), ("all", 2)])
def test_an_upcycled_encoder_starts_as_the_dense_one(
    tiny_config: EncoderConfig, place: str, routers: int
) -> None:
    fusion = tiny_config.fusion.model_copy(update={"layers": 2})
    tiny_encoder = build_encoder(tiny_config.model_copy(update={"fusion": fusion}))
    with torch.no_grad():
        for parameter in tiny_encoder.fusion.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    image, text = batch()
    inputs = [(image, text), (image, None), (None, text)]
    dense = [tiny_encoder(*one) for one in inputs]
    upcycled(tiny_encoder, routed_config(tiny_encoder.config, experts_in=place))
    for one, expected in zip(inputs, dense, strict=True):
        vectors, routing = tiny_encoder.routed(*one)
        torch.testing.assert_close(vectors, expected, atol=1e-6, rtol=1e-5)
        assert routing is not None
        assert routing.shape == (4, 3, routers, EXPERTS)


@pytest.mark.parametrize("router", ["modality", "token"])
def test_an_encoder_with_experts_is_saved_and_loaded(
    tiny_encoder: ProductEncoder, tiny_config: EncoderConfig, tmp_path: Path, router: str
) -> None:
    encoder = upcycled(tiny_encoder, routed_config(tiny_config, router=router))
    with torch.no_grad():
        for parameter in encoder.fusion.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    encoder.save_pretrained(tmp_path / "encoder")
    again = ProductEncoder.from_pretrained(tmp_path / "encoder")
    assert again.config.fusion.experts == EXPERTS
    torch.testing.assert_close(again(*batch_of(3)), encoder(*batch_of(3)))


def batch_of(seed: int) -> tuple[Tokens, Tokens]:
    torch.manual_seed(seed)
    return batch()
