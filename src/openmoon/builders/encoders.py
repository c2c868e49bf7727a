"""What `openmoon benchmark` can measure: untuned trunks, saved encoders, sentence-transformers models, tables of vectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from openmoon.builders.sentence_encode import SentenceEncode
from openmoon.builders.systems import CachedEncode, untuned_system
from openmoon.config import EncoderConfig
from openmoon.data.image_cache import ImageCache
from openmoon.errors import UserError
from openmoon.evaluation.benchmark.system import BASELINES, System
from openmoon.io import file_hash
from openmoon.models.encoder import ProductEncoder
from openmoon.serving.lookup import VectorLookup

UNTUNED = "untuned"
Pictures = Callable[[int], ImageCache]
"""Side in pixels → the suite's pictures, decoded."""


def split_name(argument: str) -> tuple[str, str]:
    """`NAME=ENCODER` or `ENCODER` → its name in tables, and what it is: `runs/x/posttrain/encoder` is called x/posttrain."""
    name, equals, source = argument.partition("=")
    if equals and name and source and "/" not in name:
        return name, source
    path = Path(argument)
    if path.suffix == ".parquet":
        return path.stem, argument
    parts = [part for part in path.parts if part not in ("/", "..", "encoder")]
    return "/".join(parts[-2:]) or argument, argument


def named_sources(arguments: Sequence[str]) -> dict[str, str]:
    """Name → what it is, for every ENCODER argument. Raises `UserError` where two have one name, or it is a baseline's."""
    found: dict[str, str] = {}
    for argument in arguments:
        name, source = split_name(argument)
        if name in found or name in BASELINES:
            taken = "a baseline is called so" if name in BASELINES else f"{found[name]} is called so too"
            raise UserError(f"benchmark: {argument}: would be called {name!r}, but {taken}; write NAME={source}.")
        found[name] = source
    return found


def is_saved_encoder(source: str) -> bool:
    """Whether it is a folder that `ProductEncoder.save_pretrained` wrote, or one whose config.json is damaged, of which
    `from_pretrained` says so."""
    try:
        config = json.loads((Path(source) / "config.json").read_text(encoding="utf-8"))
    except OSError:
        return False
    except ValueError:
        return True
    return isinstance(config, dict) and {"format", "encoder"} <= set(config)


def open_system(name: str, source: str, untuned: EncoderConfig, pictures: Pictures, scratch: Path) -> System:
    """The system that `source` names; `untuned` are the trunks that the word untuned stands for.

    Raises `UserError` when it is none of the known kinds, or cannot be read.
    """
    if source == UNTUNED:
        image = f"{untuned.image.trunk} at {untuned.image.size} px"
        facts = {"kind": "untuned trunks", "image": image, "text": untuned.text.trunk}
        return System(name, untuned_system(untuned, pictures(untuned.image.size), scratch), facts=facts)
    if is_saved_encoder(source):
        encoder = ProductEncoder.from_pretrained(source)
        facts = {"kind": "encoder", "source": source, "fingerprint": encoder.fingerprint(), "dimensions": str(encoder.dim)}
        return System(name, CachedEncode(encoder, pictures(encoder.image_size), scratch), facts=facts)
    if source.endswith(".parquet"):
        table = VectorLookup(Path(source))
        return System(name, table=table, facts={"kind": "vectors", "source": source, "hash": file_hash(Path(source))[:12]})
    if is_saved_encoder(f"{source}/encoder"):
        raise UserError(f"benchmark: {source} is no saved encoder; did you mean {source}/encoder?")
    model = SentenceEncode(source)
    return System(name, model, facts={"kind": "sentence-transformers", "source": source, **model.facts})
