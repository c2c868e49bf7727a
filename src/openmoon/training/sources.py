"""Where trunk tokens come from while training: frozen trunks run once and are read from disk, trained ones run live.

All four sources share one form: `prepare(keys)` before training, naming the pictures that will also be shown `augmented`,
then `source(keys, rng)` → `Tokens` of the batch, None for a key where the modality is missing. Pictures are named by content
hash, texts by themselves. With `rng` pictures are augmented; without, they are plain (validation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from openmoon.data.blend import Blend, blend_pictures
from openmoon.data.image_cache import VERSION as PIXELS
from openmoon.data.image_cache import ImageCache
from openmoon.data.random_view import plain_view, random_view
from openmoon.data.store import RaggedStore
from openmoon.io import content_hash, hash_number
from openmoon.lanes import cpu_lanes, in_lanes
from openmoon.models.encoder import weights_of
from openmoon.models.image_trunk import ImageTrunk
from openmoon.models.onnx.graph import openvino
from openmoon.models.onnx.trunks import onnx_image_trunk
from openmoon.models.text_trunk import TextTrunk
from openmoon.models.tokens import Tokens, by_length

CHUNK = 64  # inputs per forward pass when a frozen trunk fills its cache
FILLING = 4  # such chunks at a time: augmenting one holds several copies of its pictures
WORTH_EXPORTING = 500  # pictures; the export takes about as long as 400 of them in torch
Progress = Callable[[Iterable[int], str, int], Iterable[int]]
Key = TypeVar("Key", bound=str | Blend)


class TokenSource(Protocol):
    """Keys of a batch → tokens; None when no row has the modality."""

    def prepare(self, keys: Sequence[str], progress: Progress, augmented: Sequence[str] = ()) -> None: ...

    def __call__(self, keys: Sequence[Any | None], rng: np.random.Generator | None) -> Tokens | None: ...


class LiveText:
    """Texts through the text trunk, with gradient. A text that occurs twice in a batch is computed once, together with others
    of its length."""

    def __init__(self, trunk: TextTrunk) -> None:
        self.trunk = trunk
        self._ids: dict[str, list[int]] = {}

    def prepare(self, keys: Sequence[str], progress: Progress, augmented: Sequence[str] = ()) -> None:
        new = [key for key in dict.fromkeys(keys) if key not in self._ids]
        if new:
            self._ids.update(zip(new, self.trunk.tokenize(new), strict=True))

    def __call__(self, keys: Sequence[str | None], rng: np.random.Generator | None) -> Tokens | None:
        return _batch(keys, self._tokens)

    def _tokens(self, keys: list[str]) -> Tokens:
        ids = [self._ids[key] for key in keys]
        lengths = torch.tensor([len(tokens) for tokens in ids])
        groups = by_length(lengths)
        padded = [self.trunk.tokens([ids[row] for row in rows.tolist()]).padded(int(lengths.max())) for rows in groups]
        place = torch.cat(groups).argsort()
        return Tokens(torch.cat([p.values for p in padded])[place], torch.cat([p.mask for p in padded])[place])


class CachedText:
    """Tokens of the frozen text trunk, float16 on disk, keyed by text and trunk."""

    def __init__(self, trunk: TextTrunk, folder: Path) -> None:
        self.trunk = trunk
        self.store = RaggedStore(folder / f"text-{_signature(trunk, trunk.max_tokens)}", (trunk.dim,), np.float16)

    @torch.inference_mode()
    def prepare(self, keys: Sequence[str], progress: Progress, augmented: Sequence[str] = ()) -> None:
        texts = {content_hash(text): text for text in keys}
        todo = sorted(self.store.missing(list(texts)), key=lambda k: len(texts[k]))
        for start in progress(range(0, len(todo), CHUNK), "texts through the frozen trunk", len(todo)):
            chunk = todo[start : start + CHUNK]
            tokens = self.trunk.tokens(self.trunk.tokenize([texts[k] for k in chunk]))
            self.store.append(chunk, [v[m] for v, m in zip(tokens.values.cpu().numpy(), tokens.mask.cpu().numpy(), strict=True)])

    def __call__(self, keys: Sequence[str | None], rng: np.random.Generator | None) -> Tokens | None:
        return _batch(keys, lambda unique: _stored(self.store, [content_hash(key) for key in unique], self.trunk.device))


class LiveImages:
    """Pictures and blends of two through the image trunk, with gradient. What occurs twice in a batch is computed once."""

    def __init__(self, trunk: ImageTrunk, cache: ImageCache, crop: int, strength: float) -> None:
        self.trunk = trunk
        self.cache = cache
        self.crop = crop
        self.strength = strength

    def prepare(self, keys: Sequence[str], progress: Progress, augmented: Sequence[str] = ()) -> None:
        """Nothing to do: the pixels are in the cache."""

    def __call__(self, keys: Sequence[str | Blend | None], rng: np.random.Generator | None) -> Tokens | None:
        return _batch(keys, lambda unique: self._tokens(unique, rng))

    def _tokens(self, keys: Sequence[str | Blend], rng: np.random.Generator | None) -> Tokens:
        pairs = [key if isinstance(key, Blend) else Blend(key, key, 1.0) for key in keys]
        names = dict.fromkeys(name for pair in pairs for name in (pair.first, pair.second))
        place = {name: row for row, name in enumerate(names)}
        pixels = self.cache.pixels(list(place))
        device = self.trunk.device
        view = (
            random_view(pixels, self.crop, self.strength, rng, device) if rng else plain_view(pixels, self.cache.size, device)
        )
        if rng and any(isinstance(key, Blend) for key in keys):
            first, second = [place[pair.first] for pair in pairs], [place[pair.second] for pair in pairs]
            view = blend_pictures(view[first], view[second], np.array([pair.share for pair in pairs]), rng)
        return Tokens.whole(self.trunk(view))


class CachedImages:
    """Tokens of the frozen image trunk, float16 on disk: plain pictures, and `views` augmented ones where asked for.

    Training draws among the plain picture and its augmented views: what is searched later is plain.
    """

    def __init__(
        self, trunk: ImageTrunk, cache: ImageCache, folder: Path, strength: float = 0.0, views: int = 0
    ) -> None:
        self.trunk = trunk
        self.cache = cache
        self.strength = strength
        self.views = views if strength else 0
        name = f"images-{_signature(trunk, cache.size, trunk.grid, PIXELS)}"
        self.store = RaggedStore(folder / name, (trunk.dim,), np.float16)

    def prepare(self, keys: Sequence[str], progress: Progress, augmented: Sequence[str] = ()) -> None:
        changed = sorted(set(augmented))
        wanted = [self.store.missing(keys)] + [[self._name(key, v) for key in changed] for v in range(1, self.views + 1)]
        todo = [set(self.store.missing(names)) for names in wanted]
        forward, lanes = self._forward(sum(map(len, todo)))
        for view, (names, missing) in enumerate(zip(wanted, todo, strict=True)):
            kind = f"augmented {view} of {self.views}" if view else "plain"
            self._fill(names, missing, view, f"pictures through the frozen trunk ({kind})", forward, lanes, progress)

    def _fill(
        self, names: list[str], missing: set[str], view: int, what: str, forward: Callable[[Tensor], Tensor], lanes: int,
        progress: Progress,
    ) -> None:  # fmt: skip
        """What is `missing` of `names`, in chunks of all of them: a chunk is augmented together, and so in the same way whether
        an earlier fill was killed in it or not."""
        starts = [start for start in range(0, len(names), CHUNK) if not missing.isdisjoint(names[start : start + CHUNK])]

        @torch.inference_mode()
        def made(start: int) -> tuple[list[str], list[np.ndarray]]:
            chunk = names[start : start + CHUNK]
            pixels = self.cache.pixels([name.partition(".")[0] for name in chunk])
            if view:
                rng = np.random.default_rng([view, hash_number(content_hash(*chunk))])
                images = random_view(pixels, self.cache.size, self.strength, rng, self.trunk.device)
            else:
                images = plain_view(pixels, self.cache.size, self.trunk.device)
            new = [place for place, name in enumerate(chunk) if name in missing]
            return [chunk[place] for place in new], list(forward(images[new]).cpu().numpy())

        for _, tokens in in_lanes(made, progress(starts, what, len(missing)), lanes):
            self.store.append(*tokens)

    def _forward(self, pictures: int) -> tuple[Callable[[Tensor], Tensor], int]:
        """The trunk and how many chunks at a time: several through OpenVINO where that repays the export, on a CPU and for many
        pictures."""
        if self.trunk.device.type == "cpu" and pictures >= WORTH_EXPORTING:
            lanes = min(cpu_lanes(), FILLING)
            load = partial(openvino, threads=torch.get_num_threads(), streams=lanes)
            return onnx_image_trunk(self.trunk, self.cache.size, self.store.folder / "trunk.onnx", load), lanes
        return self.trunk, 1

    def _name(self, key: str, view: int) -> str:
        """What the store calls a picture (view 0) or one of its augmented views (1, 2 …)."""
        return f"{key}.{self.strength:g}.{view}" if view else key

    def __call__(self, keys: Sequence[str | None], rng: np.random.Generator | None) -> Tokens | None:
        def drawn(unique: list[str]) -> Tokens:
            views = rng.integers(0, self.views + 1, len(unique)) if rng else np.zeros(len(unique), int)
            names = [self._name(key, view) for key, view in zip(unique, views, strict=True)]
            return _stored(self.store, names, self.trunk.device)

        return _batch(keys, drawn)


def _batch(keys: Sequence[Key | None], compute: Callable[[list[Key]], Tokens]) -> Tokens | None:
    """Tokens of the distinct keys, laid out over the rows of the batch; rows without a key get none."""
    unique = list(dict.fromkeys(key for key in keys if key is not None))
    if not unique:
        return None
    place = {key: position for position, key in enumerate(unique)}
    tokens = compute(unique)
    device = tokens.values.device
    chosen = torch.tensor([place[key] for key in keys if key is not None], device=device)
    tokens = Tokens(tokens.values.index_select(0, chosen), tokens.mask.index_select(0, chosen))
    return tokens.spread([row for row, key in enumerate(keys) if key is not None], len(keys))


def _stored(store: RaggedStore, keys: Sequence[str], device: torch.device) -> Tokens:
    starts, counts = store.locate(keys)
    offsets = np.arange(counts.max())
    mask = offsets[None, :] < counts[:, None]
    rows = np.where(mask, starts[:, None] + offsets, starts[:, None])
    values = torch.from_numpy(store.take(rows)).to(device)
    return Tokens(values, torch.from_numpy(mask).to(device))


def _signature(trunk: torch.nn.Module, *settings: float) -> str:
    """Names a trunk's weights and the settings that its tokens depend on."""
    tensors = dict([*trunk.named_parameters(), *trunk.named_buffers()])  # a picture's mean and deviation are in no state_dict
    return content_hash(str(settings), *weights_of(tensors))[:12]
