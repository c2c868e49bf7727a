"""A start from the data: the fusion's input projections are the principal components of what the trunks say of a catalogue.

Reconstructed. Pretrained features share a large mean that says nothing about products; a random projection keeps it and
blurs the rest. Centred principal components keep what tells this catalogue's products apart, the most telling first, so the
encoder starts above its untuned trunks and its Matryoshka prefixes are good from the first step. The most telling half of what
pictures say starts in the even dimensions, of what texts say in the odd ones, the rest in those of the other: so neither blurs
the other, and words find a product with a picture about as well as one without. Which picture goes with which words is left to
training.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openmoon.models.fusion import Fusion
from openmoon.models.tokens import Tokens, masked_mean


def pooled_features(tokens: Tokens) -> Tensor:
    """(B, D): the mean of a row's layer-normalised tokens, what `start_from_data` wants."""
    return masked_mean(F.layer_norm(tokens.values.float(), tokens.values.shape[-1:]), tokens.mask)


@torch.no_grad()
def start_from_data(fusion: Fusion, image: Tensor | None, text: Tensor | None) -> None:
    """Set the input projections from pooled features (N, D) of training pictures and texts; None leaves one as it is.

    Where both are given each takes every second dimension first. Directions that N rows cannot determine stay random, orthogonal
    to the others. Where vector and fusion have one width the head becomes the identity.
    """
    both = image is not None and text is not None
    for first, (features, project) in enumerate(((image, fusion.image_in[1]), (text, fusion.text_in[1]))):
        if features is not None:
            places = torch.arange(len(project.weight))  # type: ignore[arg-type]
            order = torch.cat([places[first::2], places[1 - first :: 2]]) if both else places
            _set_principal(project, features.double(), order)  # type: ignore[arg-type]
    if fusion.head.weight.shape[0] == fusion.head.weight.shape[1]:
        nn.init.eye_(fusion.head.weight)


def _set_principal(project: nn.Linear, features: Tensor, order: Tensor) -> None:
    """Output `order[k]` becomes the k-th component."""
    mean = features.mean(0)
    centred = features - mean
    directions = torch.linalg.svd(centred, full_matrices=False).Vh[: project.out_features]
    # random rows complete the basis where there are fewer directions than outputs
    basis = torch.linalg.qr(torch.cat([directions, project.weight.double()]).T).Q.T[: project.out_features]
    projected = centred @ basis.T
    scale = (project.out_features / projected.square().sum(1).mean().clamp(min=1e-12)).sqrt()
    project.weight[order] = (basis * scale).to(project.weight)
    project.bias[order] = (-(basis @ mean) * scale).to(project.bias)
