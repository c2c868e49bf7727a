"""The systems that an evaluation compares: untuned trunks and the encoder of each stage, over the pictures already decoded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch

from openmoon.config import EncoderConfig
from openmoon.console import tracked
from openmoon.data.image_cache import ImageCache
from openmoon.device import compute_device
from openmoon.errors import UserError
from openmoon.evaluation.untuned import UntunedEncoder
from openmoon.io import alone
from openmoon.models.encoder import ProductEncoder, build_encoder
from openmoon.models.tokens import Tokens, masked_mean
from openmoon.training.sources import CachedImages, CachedText

SCRATCH = ".openmoon-scratch"


@contextmanager
def scratch_folder(workdir: Path) -> Iterator[Path]:
    """A new folder in `workdir` for what nobody needs later, such as tokens of tuned trunks; folders that killed runs left go
    too."""
    workdir.mkdir(parents=True, exist_ok=True)
    for left in workdir.glob(f"{SCRATCH}-*"):
        with suppress(UserError, OSError), alone(left):  # the lock of a process that lives is held
            shutil.rmtree(left, ignore_errors=True)
    new = Path(mkdtemp(prefix=f"{SCRATCH}_", dir=workdir))
    with alone(new):
        folder = new.rename(workdir / new.name.replace("_", "-", 1))  # by this name only with its lock held
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class CachedEncode:
    """`Encode` of an encoder whose trunk tokens are computed once per picture and text, however many views need them."""

    def __init__(self, encoder: ProductEncoder, images: ImageCache, folder: Path) -> None:
        self.encoder = encoder.to(compute_device()).eval()
        self.tokens = TrunkTokens(encoder, images, folder)

    @torch.inference_mode()
    def __call__(self, inputs: list[dict[str, str]]) -> np.ndarray:
        paths, texts = [i.get("image") for i in inputs], [i.get("text") for i in inputs]
        return self.encoder(self.tokens.of_images(paths), self.tokens.of_texts(texts)).float().cpu().numpy()


class TrunkTokens:
    """Tokens of pictures (by path) and texts from caches under `folder`, computed where they are missing."""

    def __init__(self, encoder: ProductEncoder, images: ImageCache, folder: Path) -> None:
        self._pictures = images
        self._images = CachedImages(encoder.image, images, folder)
        self._texts = CachedText(encoder.text, folder)

    def of_images(self, paths: Sequence[str | None]) -> Tokens | None:
        keys = [self._pictures.key(Path(path)) if path else None for path in paths]
        self._images.prepare([key for key in keys if key], tracked)
        return self._images(keys, None)

    def of_texts(self, texts: Sequence[str | None]) -> Tokens | None:
        self._texts.prepare([text for text in texts if text], tracked)
        return self._texts(texts, None)


def untuned_system(config: EncoderConfig, images: ImageCache, folder: Path) -> UntunedEncoder:
    """The pretrained trunks of `config` without any training, mean-pooled."""
    encoder = build_encoder(config).to(compute_device()).eval()
    tokens = TrunkTokens(encoder, images, folder)

    def pooled(found: Tokens | None) -> np.ndarray:
        assert found is not None  # the caller asks only for inputs that are there
        return masked_mean(found.values.float(), found.mask).cpu().numpy()

    return UntunedEncoder(
        lambda paths: pooled(tokens.of_images(paths)),
        lambda texts: pooled(tokens.of_texts(texts)),
        encoder.image.dim,
        encoder.text.dim,
    )
