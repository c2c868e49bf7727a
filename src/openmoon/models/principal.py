"""A start from the data: the fusion's input projections are the principal components of what the trunks say of a catalogue.

Reconstructed. Pretrained features share a large mean that says nothing about products; a random projection keeps it and
blurs the rest. Centred principal components keep what tells this catalogue's products apart, the most telling first, so the
encoder starts above its untuned trunks and its Matryoshka prefixes are good from the first step. Pictures start in the even
dimensions and texts in the odd ones: what one says of a product is not blurred by what the other says of it, and words find a
product with a picture as well as one without. Which picture goes with which words is left to training.
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
    """Set the input projections from pooled features (N, D) of training pictures and texts.

    A side that is None, or whose rows are all the same (they have no components), stays as it is. Where both have some they get
    every second dimension each. Directions that N rows cannot determine stay random, orthogonal to the others; dimensions beyond
    what a trunk has start at zero. Where vector and fusion have one width the head becomes the identity.
    """
    given = [None if side is None else side.double() for side in (image, text)]
    sides = [None if side is None or not _vary(side) else side for side in given]
    step = sum(side is not None for side in sides)
    for place, (features, project) in enumerate(zip(sides, (fusion.image_in[1], fusion.text_in[1]), strict=True)):
        if features is not None:
            _set_principal(project, features, place if step == 2 else 0, step)  # type: ignore[arg-type]
    if fusion.head.weight.shape[0] == fusion.head.weight.shape[1]:
        nn.init.eye_(fusion.head.weight)


def _vary(features: Tensor) -> bool:
    return bool((features - features.mean(0)).square().sum() > 1e-9 * features.square().sum())


def _set_principal(project: nn.Linear, features: Tensor, first: int, step: int) -> None:
    own = torch.arange(first, project.out_features, step)[: features.shape[1]]
    mean, count = features.mean(0), len(own)
    centred = features - mean
    directions = torch.linalg.svd(centred, full_matrices=False).Vh[:count]
    # random rows complete the basis where there are fewer directions than outputs
    basis = torch.linalg.qr(torch.cat([directions, project.weight.double()]).T).Q.T[:count]
    projected = centred @ basis.T
    scale = (project.out_features / projected.square().sum(1).mean()).sqrt()
    for parameter, values in ((project.weight, basis * scale), (project.bias, -(basis @ mean) * scale)):
        parameter.zero_()
        parameter[own] = values.to(parameter)
