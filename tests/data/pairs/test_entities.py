from __future__ import annotations

import hypothesis.strategies as st
import polars as pl
from hypothesis import given

from openmoon.data.pairs.entities import Entities

WORDS = ["red", "navy", "blue", "boot", "boots", "dress", "dresses", "of", "x"]


def counts(entities: Entities, *texts: str | None) -> list[int]:
    return entities.count(pl.Series(texts, dtype=pl.String)).to_list()


def test_whole_words_count_once_and_long_names_win() -> None:
    entities = Entities(["navy blue", "Blue", "Boots", "Dress", "a sentence of far too many words"])
    assert counts(entities, "Navy-blue BOOT", "blue, boots & boots", "dresses", "bootstrap", None, "", "navy") == [
        2, 2, 1, 0, 0, 0, 0,
    ]  # fmt: skip
    assert counts(Entities([]), "red boots") == [0]


def test_names_come_from_categories_and_attributes() -> None:
    catalog = pl.DataFrame({
        "category": ["Shoes > Boot", None], "attributes": ['{"colour": "Dark Red", "use": "hiking, city"}', None],
    })  # fmt: skip
    entities = Entities.of_catalog(catalog)
    assert counts(entities, "dark red boot for hiking", "shoe for the city", "red") == [3, 2, 0]


def test_scripts_without_spaces_are_read_letter_by_letter() -> None:
    entities = Entities(["服装", "连衣裙", "红色", "เสื้อ", "แดง", "シャツ", "रेड"])
    texts = ["红色连衣裙", "红色 连衣裙", "เสื้อสีแดง", "白いシャツ", "रेड boot", "रे boot", "裙"]
    assert counts(entities, *texts) == [2, 2, 2, 1, 1, 0, 0]


@given(st.lists(st.sampled_from(WORDS), max_size=6))
def test_counting_agrees_with_a_loop(words: list[str]) -> None:
    names = [["navy", "blue"], ["red"], ["blue"], ["boot"], ["dress"]]
    plain = [{"boots": "boot", "dresses": "dress"}.get(word, word) for word in words]
    found, place = set(), 0
    while place < len(plain):
        here = next((name for name in names if plain[place : place + len(name)] == name), None)
        if here:
            found.add(tuple(here))
        place += len(here or [1])
    assert counts(Entities([" ".join(name) for name in names]), " ".join(words)) == [len(found)]
