"""The files that let a saved encoder travel: a model card for people, module lists for sentence-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from openmoon.io import write_json, write_text

if TYPE_CHECKING:
    from openmoon.models.encoder import ProductEncoder

CARD = """---
library_name: openmoon
pipeline_tag: feature-extraction
tags: [e-commerce, multimodal, product-embeddings, sentence-transformers]
---
# Product encoder

Product embeddings for text, pictures or both, made with OpenMOON. Its trunks were pretrained by others; their licences hold.

| | |
|---|---|
| image trunk | {image} at {size} x {size} pixels |
| text trunk | {text}, up to {tokens} tokens |
| fusion | {layers} layers of width {width}, {pooling} pooling |
| vector | {dim} numbers, L2-normalised; may be cut to {dims} |
| parameters | {millions:.1f} million |

```python
from pathlib import Path
from openmoon import ProductEncoder

encoder = ProductEncoder.from_pretrained("path/to/this/folder")
encoder.encode(["red leather boots", Path("boot.jpg"), {{"text": "red leather boots", "image": "boot.jpg"}}])
```

With openmoon installed `SentenceTransformer("path/to/this/folder", trust_remote_code=True)` gives the same vectors. What it was
trained on stands in `recipe.yaml` and `summary.json` beside the folder, and how well it finds held-out products in the run's
`evaluation.md`.
"""


def write_card(encoder: ProductEncoder, folder: Path) -> None:
    """README.md of a saved encoder."""
    config = encoder.config
    write_text(folder / "README.md", CARD.format(
        image=config.image.trunk, size=config.image.size, text=config.text.trunk,
        tokens=config.text.max_tokens, layers=config.fusion.layers, width=config.fusion.width,
        pooling=config.fusion.pooling, dim=encoder.dim, dims=", ".join(map(str, encoder.dims[:-1])) or "no less",
        millions=sum(p.numel() for p in encoder.parameters()) / 1e6,
    ))  # fmt: skip


def write_sentence_transformers_files(folder: Path) -> None:
    """modules.json and its companion: `SentenceTransformer(folder, trust_remote_code=True)` finds `openmoon.models.interop`."""
    module = {"idx": 0, "name": "0", "path": "", "type": "openmoon.models.interop.SentenceTransformerModule"}
    write_json(folder / "modules.json", [module])
    write_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine", "prompts": {}})
