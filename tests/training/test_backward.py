"""One gradient, however the batch is cut: whole, in chunks, over processes. Checked on a real encoder in float64."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor

from openmoon.config import MOON_MIX, EncoderConfig
from openmoon.data.image_cache import ImageCache
from openmoon.data.lists import Lists
from openmoon.data.views import Parts, Views
from openmoon.losses.dual_alignment import AlignmentMatrix
from openmoon.losses.temperature import Temperature
from openmoon.models.encoder import ProductEncoder, upcycled
from openmoon.training import dual_alignment
from openmoon.training.backward import backward
from openmoon.training.contrast import Contrast
from openmoon.training.distributed import ALONE, World
from openmoon.training.featurize import Featurizer
from openmoon.training.negatives import LEFT, FromLog, HardNegatives, LeftBehind
from openmoon.training.plan import Encoded, Plan, StepOutput
from openmoon.training.posttrain import IDENTITIES, Mix, posttraining_objective
from openmoon.training.queue import ItemQueue
from openmoon.training.sources import LiveImages, LiveText
from tests.conftest import WORDS
from tests.models.test_experts import EXPERTS, routed_config
from tests.training.tables import pair_table

B = 9


def quiet(chunks, description, total):  # type: ignore[no-untyped-def]
    return chunks


class Run:
    """An encoder with live trunks, 9 pairs of texts and pictures, and an objective with a queue that holds 5 items and a hard
    negative for each pair."""

    def __init__(
        self, encoder: ProductEncoder, cache: ImageCache, keys: list[str], loss: str = "info_nce", augment: float = 0.0,
        dual: bool = False, queued: bool = True,
    ) -> None:  # fmt: skip
        self.encoder = encoder.double().requires_grad_(True).train(augment > 0)  # without augmentation no dropout
        self.temperature = Temperature(0.1).double()
        texts = LiveText(encoder.text)
        column = np.array([" ".join(WORDS[n : n + 3]) for n in range(B)], dtype=object)
        texts.prepare(list(column), quiet)
        self.encode = Featurizer(encoder, LiveImages(encoder.image, cache, 32, augment), texts)
        pictures = np.array([keys[n % len(keys)] for n in range(B)], dtype=object)
        items = Parts({"title": column, "rich": column}, pictures)
        pairs = pair_table(Parts({"text": column[::-1].copy()}, pictures[::-1].copy()), np.arange(B), np.arange(B))
        mix = Mix([m.query for m in MOON_MIX], [m.item for m in MOON_MIX], [m.share for m in MOON_MIX])
        codes = torch.full((dual_alignment.IDENTITIES if dual else IDENTITIES, 5), -9)
        queue = ItemQueue(5, 8, len(codes))
        queue.push(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), codes, torch.zeros(5, dtype=torch.int64))
        contrast = Contrast(self.temperature, (4, 8), loss, queue=queue.double() if queued else None)  # type: ignore[arg-type]
        beside = Lists.group(np.arange(B), (np.arange(B) + 4) % B, B)
        hard = HardNegatives({LEFT: FromLog(beside, 1)}, LeftBehind(2.0, 1.0, (4, 8)))
        self.heads = torch.nn.ModuleDict({"temperature": self.temperature})
        if dual:
            torch.manual_seed(2)
            self.heads["alignment"] = matrix = AlignmentMatrix(EXPERTS, 5).double()
            terms = dual_alignment.Alignment(naive=True)  # so that every gradient there is takes part
            self.objective = dual_alignment.dual_alignment_objective(
                contrast, pairs, items, np.arange(B), matrix, terms, hard
            )
        else:
            self.objective = posttraining_objective(contrast, pairs, items, np.arange(B), mix, hard=hard)

    def gradients(self, chunk: int, world: World = ALONE, rows: int = B) -> dict[str, Tensor]:
        modules = torch.nn.ModuleDict({"encoder": self.encoder, "heads": self.heads})
        modules.zero_grad(set_to_none=True)
        plan = self.objective(np.arange(rows), np.random.default_rng(0), 0.0)
        output = backward(plan, self.encode, (7, 3), chunk, world)
        parameters = dict(modules.named_parameters())
        world.average_gradients(parameters.values())
        found = {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}
        return found | {"loss": torch.stack(list(output.losses.values())).sum().detach()}


@pytest.fixture
def cached(pictures: list[Path], tmp_path: Path) -> tuple[ImageCache, list[str]]:
    cache = ImageCache(tmp_path / "cache", 32)
    cache.fill(pictures)
    return cache, cache.keys(pictures)


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    moved = {name for name, gradient in expected.items() if gradient.abs().max() > 0}
    assert any(name.startswith("encoder.image") for name in moved)
    assert any(name.startswith("encoder.text") for name in moved)
    for name in moved | set(found):
        wanted = expected.get(name, torch.zeros(()).double())
        torch.testing.assert_close(found[name], wanted.expand_as(found[name]), atol=1e-9, rtol=1e-6, msg=name)


@pytest.mark.parametrize(("loss", "chunk"), [("info_nce", 1), ("info_nce", 4), ("info_nce", 50), ("circle", 4), ("sigmoid", 4)])
def test_chunks_give_the_gradient_of_the_whole(
    tiny_encoder: ProductEncoder, cached: tuple[ImageCache, list[str]], loss: str, chunk: int
) -> None:
    whole = Run(tiny_encoder, *cached, loss).gradients(0)
    assert_same(Run(tiny_encoder, *cached, loss).gradients(chunk), whole)


@pytest.mark.parametrize("chunk", [2, 5])
def test_routing_and_its_terms_are_the_same_in_chunks(
    tiny_encoder: ProductEncoder, cached: tuple[ImageCache, list[str]], chunk: int
) -> None:
    routed = upcycled(tiny_encoder, routed_config(tiny_encoder.config))
    with torch.no_grad():
        for parameter in routed.fusion.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    whole = Run(copy.deepcopy(routed), *cached, dual=True).gradients(0)
    assert_same(Run(copy.deepcopy(routed), *cached, dual=True).gradients(chunk), whole)
    assert whole["heads.alignment.weight"].abs().max() > 0
    assert whole["encoder.fusion.layers.0.feed_forward.router.weight"].abs().max() > 0


def test_dropout_and_augmentation_are_the_same_in_both_passes(
    tiny_config: EncoderConfig, tiny_encoder: ProductEncoder, cached: tuple[ImageCache, list[str]]
) -> None:
    """The gradient of a chunked step is that of the loss it reports: a small step along it lowers the loss as predicted."""
    for layer in tiny_encoder.fusion.layers:
        layer.dropout = 0.3  # type: ignore[assignment]
    weight = tiny_encoder.fusion.head.weight
    # a queue stops part of the gradient
    before = Run(tiny_encoder, *cached, "info_nce", augment=0.8, queued=False).gradients(4)
    step = 1e-6
    with torch.no_grad():
        weight += step * before["encoder.fusion.head.weight"]
    after = Run(tiny_encoder, *cached, "info_nce", augment=0.8, queued=False).gradients(4)
    slope = (after["loss"] - before["loss"]) / step
    torch.testing.assert_close(slope, before["encoder.fusion.head.weight"].square().sum(), rtol=1e-3, atol=1e-8)


DIVIDED = [(0, B), (2, B), (0, 1)]  # chunk, pairs: over two processes 4 and 5 of 9, none and 1 of a single one


def _one_of_two(rank: int, folder: str, encoder: ProductEncoder, keys: list[str]) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    cache, world = ImageCache(Path(folder) / "cache", 32), World(rank, 2)
    if rank:
        with torch.no_grad():
            encoder.fusion.head.weight.add_(1.0)
    world.agree(encoder.parameters())
    found = [Run(encoder, cache, keys).gradients(chunk, world, rows) for chunk, rows in DIVIDED]
    torch.save(found, f"{folder}/gradients-{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_gradient_of_one(
    tiny_encoder: ProductEncoder, cached: tuple[ImageCache, list[str]], tmp_path: Path
) -> None:
    """Every query meets the items of both, and every process ends with one gradient, also where one started from others."""
    mp.start_processes(_one_of_two, (str(tmp_path), tiny_encoder, cached[1]), nprocs=2, start_method="spawn")
    of_ranks = [torch.load(tmp_path / f"gradients-{rank}.pt") for rank in range(2)]
    for case, (_, rows) in enumerate(DIVIDED):
        whole = Run(tiny_encoder, *cached).gradients(0, rows=rows)
        for found in of_ranks:
            assert_same(found[case], whole)
            assert set(found[case]) == set(whole), "what takes no part has no gradient, which is none of 0: it must not decay"


@pytest.mark.parametrize("chunk", [0, 2])
def test_towers_and_chunks_have_random_numbers_of_their_own_and_twice_the_same(chunk: int) -> None:
    drawn: list[Tensor] = []

    def encode(views: Views, rng: np.random.Generator) -> Encoded:
        drawn.append(torch.from_numpy(rng.random((len(views), 3))) + torch.rand(len(views), 3))
        return Encoded(drawn[-1])

    views = Views(["a"] * 4, [None] * 4)
    plan = Plan([views, views], lambda encoded: StepOutput({"x": sum(e.vectors.sum() for e in encoded)}, encoded[0].vectors))
    backward(plan, encode, (7, 3), chunk)
    first = torch.cat(drawn)[:8]
    assert len(first.unique(dim=0)) == 8
    if chunk:
        torch.testing.assert_close(torch.cat(drawn)[8:], first)
