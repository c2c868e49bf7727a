"""Which products are augmented, and what of it is kept."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from openmoon import ProductEncoder
from openmoon.builders.variants import with_variants
from openmoon.builders.workspace import open_workspace
from openmoon.config import AugmentConfig, EncoderConfig, Recipe
from openmoon.data.coaugment.gate import STRANGE
from openmoon.data.coaugment.table import Made
from openmoon.steps.augment import _judged, augment


@pytest.mark.parametrize("by", ["product", "given"])
def test_all_products_that_pairs_may_hold_are_augmented(tmp_path: Path, tiny_config: EncoderConfig, by: str) -> None:
    names = [f"p{number}" for number in range(12)]
    pl.DataFrame({"product_id": names, "title": "boot", "colour": "red"}).write_parquet(tmp_path / "catalog.parquet")
    pl.DataFrame({
        "user_id": "u", "timestamp": "2024-01-01", "action": "click", "product_id": names, "query_text": names,
        "split": ["train"] * 8 + ["val", "val", "test", "test"],
    }).write_parquet(tmp_path / "events.parquet")  # fmt: skip
    recipe = Recipe.model_validate({
        "name": "tiny", "workdir": tmp_path / "run", "encoder": tiny_config.model_dump(), "pretrain": None,
        "data": {"root": tmp_path, "events": "events.parquet", "attributes": ["colour"], "split": {"by": by, "val": 0.25}},
        "augment": {"texts": {"templates": 1}, "pictures": {"per_product": 0}, "nearer": 0, "slack": 1},
    })  # fmt: skip
    augment(recipe)
    made = pl.read_parquet(tmp_path / "run" / "augmented" / "augmented.parquet").filter("kept")
    work = open_workspace(recipe)
    assert set(made["product_id"]) == set(work.items["product_id"][work.learnt_rows])
    assert made["product_id"].n_unique() == {"product": 7, "given": 12}[by]
    variants = with_variants(work, 0.3).variants
    assert variants is not None
    assert variants.share == 0.3
    assert [len(texts) > 0 for texts in variants.texts] == work.items["product_id"].is_in(made["product_id"].implode()).to_list()


def test_what_is_nearer_to_another_product_is_dropped(tmp_path: Path, tiny_encoder: ProductEncoder) -> None:
    titles = ["red boot", "blue bag", "lamp", "green mug with dots", "leather shoe", "small cotton bag"]
    places = range(len(titles))
    items = pl.DataFrame({
        "product_id": [f"p{n}" for n in places], "spu_id": [f"s{n}" for n in places], "title": titles, "rich": titles,
        "image": [None] * len(titles), "image_key": [None] * len(titles),
    })  # fmt: skip
    work: Any = SimpleNamespace(recipe=Recipe.model_validate({"name": "t", "workdir": tmp_path}), shop=None)
    made = [Made("p0", "text", "t", titles[0]), Made("p1", "text", "t", titles[4]), Made("p2", "text", "t", "x", reason="before")]

    def judged(**gate: float) -> list[Made]:
        return _judged(made, work, items, tiny_encoder.eval(), tmp_path, AugmentConfig.model_validate(gate))

    own, other, before = judged(nearer=0.9, slack=0.05)
    assert (own.reason, own.score) == (None, 1)
    assert (other.reason, before.reason) == (STRANGE, "before")
    assert [row.reason for row in judged(nearer=0, slack=1)] == [None, None, "before"]
