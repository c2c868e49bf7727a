"""Kinds of map of what a picture shows of a target, each (encoder, picture (S, S, 3), targets (T, dim), title) → (T, g, g): what
`openmoon heatmap` draws, and what others draw."""

from __future__ import annotations

from itertools import product
from typing import cast

import numpy as np
import torch
from torch import Tensor

from openmoon.evaluation.heatmap import occlude
from openmoon.models.encoder import ProductEncoder
from openmoon.models.fusion import FusionLayer
from openmoon.models.tokens import Tokens


def occlusion(encoder: ProductEncoder, picture: np.ndarray, targets: np.ndarray, title: str) -> np.ndarray:
    return occlude(encoder, picture).maps(targets)


def yardstick(encoder: ProductEncoder, picture: np.ndarray, targets: np.ndarray, title: str) -> np.ndarray:
    """Mean loss under hard grey patches of a quarter of the side, every eighth."""
    side = len(picture)
    patch, step = side // 4, side // 8
    starts = range(-step, side - step + 1, step)
    cover = np.zeros((len(starts) ** 2, side, side), bool)
    for one, (y, x) in zip(cover, product(starts, starts), strict=True):
        one[max(y, 0) : y + patch, max(x, 0) : x + patch] = True
    whole, *hidden = encoder.encode([picture, *np.where(cover[..., None], np.uint8(127), picture)])
    loss = targets @ (whole - np.stack(hidden)).T
    return np.einsum("tp,pyx->tyx", loss, cover.astype(np.float32)) / cover.sum(0)


def tokens_left_out(encoder: ProductEncoder, picture: np.ndarray, targets: np.ndarray, title: str) -> np.ndarray:
    """What the similarity loses when the fusion is not shown a region's token."""
    values = trunk_tokens(encoder, picture)
    count = values.shape[1]
    mask = torch.cat([torch.ones(1, count, dtype=torch.bool), ~torch.eye(count, dtype=torch.bool)])
    with torch.inference_mode():
        vectors = encoder(Tokens(values.expand(count + 1, -1, -1), mask), None).numpy()
    return on_grid(targets @ (vectors[0] - vectors[1:]).T)


def gradient_x_input(encoder: ProductEncoder, picture: np.ndarray, targets: np.ndarray, title: str) -> np.ndarray:
    """Gradient of the similarity by the tokens that enter the fusion, times the tokens, summed over channels."""
    maps = []
    for target in torch.from_numpy(targets):
        values = trunk_tokens(encoder, picture).requires_grad_()
        similarity = (encoder(Tokens(values, all_true(values)), None) @ target).sum()
        (gradient,) = torch.autograd.grad(similarity, values)
        maps.append((gradient * values).sum(2).detach())
    return on_grid(torch.cat(maps).numpy())


@torch.inference_mode()
def rollout(encoder: ProductEncoder, picture: np.ndarray, targets: np.ndarray, title: str) -> np.ndarray:
    """Attention from the title's tokens to the picture's, heads averaged, residuals halved, layers multiplied (Abnar & Zuidema
    2020), where both are one input; it knows of no other target."""
    fusion, values = encoder.fusion, trunk_tokens(encoder, picture)
    text = encoder.text.tokens(encoder.text.tokenize([title]))
    x = torch.cat([fusion.image_in(values) + fusion.kind[0], fusion.text_in(text.values) + fusion.kind[1]], 1)
    flow = torch.eye(x.shape[1])
    for layer in cast(list[FusionLayer], list(fusion.layers)):
        q, k, _ = layer.qkv(layer.norm_attention(x)).unflatten(-1, (3, layer.heads, -1)).permute(2, 0, 3, 1, 4)
        attention = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1).mean(1)[0]
        flow = (attention + torch.eye(len(attention))) / 2 @ flow
        x, _ = layer(x, all_true(x), torch.tensor([2]))
    count = values.shape[1]
    return on_grid(flow[count:, :count].mean(0).expand(len(targets), -1).numpy())


def at_random(encoder: ProductEncoder, picture: np.ndarray, targets: np.ndarray, title: str) -> np.ndarray:
    return np.random.default_rng(int(picture.sum())).normal(size=(len(targets), 4, 4))


def trunk_tokens(encoder: ProductEncoder, picture: np.ndarray) -> Tensor:
    with torch.no_grad():
        return encoder.image(torch.from_numpy(picture).permute(2, 0, 1)[None].float())


def all_true(values: Tensor) -> Tensor:
    return torch.ones(values.shape[:2], dtype=torch.bool)


def on_grid(tokens: np.ndarray) -> np.ndarray:
    """(T, n + g²) values of tokens that lie row by row → (T, g, g). Class and register tokens come first and have no place; they
    are at most 2g."""
    side = int(tokens.shape[1] ** 0.5)
    return tokens[:, -(side**2) :].reshape(-1, side, side)
