"""Post-training steps against sentence-transformers' CachedMultipleNegativesRankingLoss: samples a second and peak memory.

    python benchmarks/train.py --batches 1024 4096 --chunk 64

The same encoder (default trunks), pairs (a photo → a product of text and picture, drawn at random: speed does not depend on what
they show), InfoNCE at τ = 0.05 over the full vector, chunk size, AdamW and malloc settings, on one machine, each measurement in
a process of its own. Pictures lie decoded in memory for the peer and in the decoded cache for openmoon, so reading files costs
neither. Two ways to train:
- frozen: only the fusion is trained, the usual first recipe. openmoon reads the trunks' tokens from its cache (filled before, by
  another process; that is measured apart and repaid over epochs); the peer has no such cache and runs the trunks in every step,
  without gradient.
- trained: both trunks are trained as well; both sides run them. The peer's picture trunk is the package's own model, unless
  `--lend` gives it openmoon's forward pass of the same weights.
The first step is warm-up, the second is measured; its memory is the peak less what the process held before the first. Both print
the loss of their first step: equal losses show that both do the same work.
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from openmoon.config import EncoderConfig
from openmoon.data.image_cache import ImageCache
from openmoon.data.lists import Lists, Others
from openmoon.data.views import Parts
from openmoon.errors import one_line
from openmoon.io import write_json
from openmoon.losses.temperature import Temperature
from openmoon.models.encoder import ProductEncoder, build_encoder
from openmoon.runtime import machine, versions
from openmoon.training.backward import backward
from openmoon.training.contrast import Contrast
from openmoon.training.featurize import Featurizer
from openmoon.training.posttrain import Mix, PairTable, posttraining_objective
from openmoon.training.sources import CachedImages, CachedText, LiveImages, LiveText

SIZE, TAU, DIM = 128, 0.05, 256
WORDS = ["red", "blue", "leather", "cotton", "boot", "dress", "lamp", "mug", "striped", "plain", "small", "large", "new", "soft"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--modes", nargs="+", choices=["frozen", "trained"], default=["frozen", "trained"])
    parser.add_argument("--lend", action="store_true", help="let the peer's picture trunk compute as openmoon's does")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/train.json"))
    parser.add_argument("--one", nargs=6, metavar=("SIDE", "MODE", "BATCH", "CHUNK", "FOLDER", "LEND"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        side, mode, batch, chunk, folder, lend = args.one
        encoder = new_encoder(mode)
        if side == "peer" and lend == "no":
            encoder.image.backbone = AsPackaged(encoder.image.backbone)
        print(json.dumps(SIDES[side](encoder, mode, int(batch), int(chunk), Path(folder))))
        return
    rows = []
    print("| trunks | batch | openmoon samples/s | peer | ratio | openmoon MiB | peer | ratio | filling the cache |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for mode in args.modes:
        for batch in args.batches:
            with tempfile.TemporaryDirectory() as folder:
                make_pictures(Path(folder), batch)
                filled, ours, peer = (child(side, mode, batch, args.chunk, folder, args.lend) for side in SIDES)
                if abs(ours["loss"] - peer["loss"]) > 0.01 * peer["loss"]:
                    sys.exit(f"the two do not compute the same: first loss {ours['loss']} and {peer['loss']}")
                rows.append({"mode": mode, "batch": batch, "openmoon": ours | filled, "peer": peer})
                cost = f"{filled['fill_s']:.0f} s" if mode == "frozen" else "—"
                print(f"| {mode} | {batch:,} | {ours['samples_per_s']:,.1f} | {peer['samples_per_s']:,.1f} | "
                      f"{ours['samples_per_s'] / peer['samples_per_s']:.2f} | {ours['mib']:,} | {peer['mib']:,} | "
                      f"{ours['mib'] / peer['mib']:.2f} | {cost} |", flush=True)  # fmt: skip
    write_json(args.out, {"rows": rows, "chunk": args.chunk, "lent": args.lend, "versions": versions(), "machine": machine()})


def child(side: str, mode: str, batch: int, chunk: int, folder: str, lend: bool) -> dict[str, float]:
    """What one side measures, in a fresh process."""
    command = [sys.executable, __file__, "--one", side, mode, str(batch), str(chunk), folder, "yes" if lend else "no"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def make_pictures(folder: Path, count: int) -> None:
    """`count` photos and as many product pictures: smooth noise, each different."""
    rng = np.random.default_rng(0)
    for n in range(2 * count):
        coarse = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8))
        coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(folder / f"{n:06}.png", compress_level=1)


def texts(count: int) -> list[str]:
    """A different title for every product."""
    rng = np.random.default_rng(1)
    return [" ".join([*rng.choice(WORDS, 6), str(n)]) for n in range(count)]


class AsPackaged(nn.Module):
    """The picture trunk as its package computes it."""

    def __init__(self, features: Any) -> None:
        super().__init__()
        self.net = features.net

    def forward(self, pixels: Tensor) -> Tensor:
        return self.net.extract_features(pixels)


def new_encoder(mode: str) -> ProductEncoder:
    """The default encoder, the same every time; in eval mode on both sides, since dropout would make their losses differ."""
    torch.manual_seed(0)
    config = {"image": {"size": SIZE}, "text": {"max_tokens": 32}, "dims": [DIM]}
    encoder = build_encoder(EncoderConfig.model_validate(config)).eval()
    encoder.image.requires_grad_(mode == "trained")
    encoder.text.requires_grad_(mode == "trained")
    return encoder


def fill(encoder: ProductEncoder, mode: str, batch: int, chunk: int, folder: Path) -> dict[str, float]:
    """Seconds until openmoon's token cache holds all that a step shows."""
    started = time.perf_counter()
    openmoon_inputs(encoder, mode, batch, folder)
    return {"fill_s": time.perf_counter() - started}


def openmoon_inputs(encoder: ProductEncoder, mode: str, batch: int, folder: Path) -> tuple[Featurizer, np.ndarray, np.ndarray]:
    """What encodes a batch, and its picture keys and titles."""
    paths = [folder / f"{n:06}.png" for n in range(2 * batch)]
    cache = ImageCache(folder / "decoded", SIZE)
    cache.fill(paths)
    keys, names = np.array(cache.keys(paths), dtype=object), np.array(texts(batch), dtype=object)
    tokens = folder / "tokens"
    sources = (
        (LiveImages(encoder.image, cache, SIZE, 0.0), LiveText(encoder.text))
        if mode == "trained"
        else (CachedImages(encoder.image, cache, tokens), CachedText(encoder.text, tokens))
    )
    sources[0].prepare(list(keys), lambda chunks, what, total: chunks)
    sources[1].prepare(list(names), lambda chunks, what, total: chunks)
    return Featurizer(encoder, *sources), keys, names


def openmoon_side(encoder: ProductEncoder, mode: str, batch: int, chunk: int, folder: Path) -> dict[str, float]:
    encode, keys, names = openmoon_inputs(encoder, mode, batch, folder)
    nothing = np.full(batch, None, dtype=object)
    rows = np.arange(batch)
    others = Others(Lists.empty(batch), np.full(batch, -1))
    pairs = PairTable(Parts({"text": nothing}, keys[:batch]), rows, rows, others, {})
    objective = posttraining_objective(Contrast(Temperature(TAU), (DIM,)), pairs, Parts({"rich": names}, keys[batch:]), rows,
                                       Mix(["image"], ["rich+image"], [1.0]))  # fmt: skip
    optimizer = adamw(encoder)

    def step() -> float:
        output = backward(objective(rows, np.random.default_rng(0), 0.0), encode, (0, 0), chunk)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return sum(value.item() for value in output.losses.values())

    return measured(step, batch)


def peer_side(encoder: ProductEncoder, mode: str, batch: int, chunk: int, folder: Path) -> dict[str, float]:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss

    from openmoon.models.interop import SentenceTransformerModule

    model = SentenceTransformer(modules=[SentenceTransformerModule(encoder)], device="cpu").eval()
    pictures = [np.asarray(Image.open(folder / f"{n:06}.png").convert("RGB")) for n in range(2 * batch)]
    products = [{"text": text, "image": picture} for text, picture in zip(texts(batch), pictures[batch:], strict=True)]
    loss = CachedMultipleNegativesRankingLoss(model, scale=1 / TAU, mini_batch_size=chunk)
    optimizer = adamw(model)
    photos, labels = [{"image": picture} for picture in pictures[:batch]], torch.empty(0)

    def step() -> float:
        value = loss([model.preprocess(photos), model.preprocess(products)], labels)
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return value.item()

    return measured(step, batch)


def adamw(module: torch.nn.Module) -> torch.optim.Optimizer:
    """The same optimiser for both; at a rate of 0 the measured step computes the loss of the first."""
    return torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=0.0, fused=True)


def measured(step: Callable[[], float], batch: int) -> dict[str, float]:
    """Samples a second of the second step, peak MiB above the start, and the loss."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    started = time.perf_counter()
    loss = step()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"samples_per_s": batch / seconds, "mib": (peak - before) // 1024, "loss": loss}


SIDES = {"fill": fill, "openmoon": openmoon_side, "peer": peer_side}

if __name__ == "__main__":
    with one_line():
        main()
