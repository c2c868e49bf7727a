"""Enriched texts keep who a product is: brands, numbers, sizes and codes survive whatever the title and the attributes are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmoon.data.coaugment.identity import Brands, lost, protected
from openmoon.data.coaugment.product import Product, spoken_name
from openmoon.data.coaugment.templates import SYNONYMS, enrich

MUG = Product("1", "Sofa Kings grey mug 350 ml XL AB-12", "A good mug. Holds tea.", "Kitchen > Mug",
              {"brand": "Sofa Kings", "colour": "grey", "material": "stoneware", "madeIn": "Peru"})  # fmt: skip

letters = st.sampled_from("aBcdeé中1 2-.")
known = st.sampled_from([*SYNONYMS, "Mug", "XL", "500 ml", "AB-12", "USB", "Sofa Kings"])
words = st.one_of(known, st.text(letters, min_size=1, max_size=6))
categories = st.sampled_from([None, "Mug", "A > Sofas", "Handbag"])
titles = st.lists(words, min_size=1, max_size=6).map(" ".join)
names = st.sampled_from(["brand", "brandName", "colour", "material", "series", "Use", "weight {x}"])


@given(titles, st.dictionaries(names, words, max_size=5), words, categories, st.booleans())
def test_protected_strings_survive_any_title_and_attributes(
    title: str, attributes: dict[str, str], brand: str, category: str | None, described: bool
) -> None:
    product = Product("p", f"{title} {brand}", "Nice. Big one!" if described else None, category, {"brand": brand, **attributes})
    keep = protected(product, ["series"])
    for text, recipe in enrich(product, 4, 0, ("series",)):
        assert not lost(text, keep), (text, keep)
        assert text != product.title
        assert set(recipe["attributes"]) <= set(product.attributes)
        assert not Brands([product]).strangers(text, product)


def test_what_is_protected() -> None:
    assert protected(MUG) == ["Sofa Kings", "350 ml", "AB-12", "XL"]
    assert protected(Product("1", "a USB hub of IKEA")) == ["USB", "IKEA"]
    assert "grey" not in protected(MUG)
    assert protected(Product("1", "夏季新款2024女装连衣裙")) == ["2024"]
    assert protected(Product("1", "アディダス スニーカー27cm白")) == ["27cm"]
    assert protected(Product("1", "500ml瓶装水×12")) == ["500ml", "×12"]
    assert not lost("这款2024年夏季新款女装连衣裙", protected(Product("1", "夏季新款2024女装连衣裙")))
    assert "grey" in protected(MUG, ["Colour"])
    assert protected(Product("1", "RED BOOTS", None, None, {})) == []
    assert protected(Product("1", "Men's boots, size 42.", None, None, {})) == ["42"]
    assert protected(Product("1", "耐克运动鞋", None, None, {"brand": "耐克"})) == ["耐克"]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("Sofa Kings mug of 350 ml, AB-12, XL", []), ("Sofa kings mug of 350 ml, AB-12, XL", ["Sofa Kings"]),
        ("Sofa Kings mug of 1350 ml, AB-12, XL", ["350 ml"]), ("Sofa Kings mug of 350 ml, AB-121, XL", ["AB-12"]),
        ("Sofa Kings mug of 350ml, AB-12, XXL", ["350 ml", "XL"]),
    ],
)  # fmt: skip
def test_what_is_lost(text: str, missing: list[str]) -> None:
    assert lost(text, protected(MUG)) == missing


def test_a_string_is_whole_where_it_cuts_no_word() -> None:
    assert lost("sofa. Big one!", [".", "!", "sofa"]) == []
    assert lost("sofas by P&G!xs", ["sofa", "P&G!", "G!x"]) == ["sofa", "G!x"]


def test_brands_of_others_are_found_where_the_row_does_not_name_them() -> None:
    others = [Product("2", "Only jeans", attributes={"brand": "Only"}), Product("3", attributes={"Brand": "Van der Huis"})]
    brands = Brands([MUG, *others])
    assert brands.strangers("A mug by Van der  Huis.", MUG) == ["Van der  Huis"]
    assert brands.strangers("A mug by Only!", MUG) == ["Only"]
    nike = Brands([MUG, MUG._replace(attributes={"brand": "耐克"})])
    assert nike.strangers("比耐克更好的鞋", MUG) == ["耐克"]
    assert nike.strangers("比耐克更好的鞋", MUG._replace(description="耐克鞋")) == []
    assert brands.strangers("It is only a mug of Sofa Kings, in Van and Huis", MUG) == []
    assert brands.strangers("Goes with Only", MUG._replace(description="goes with ONLY jeans")) == []


@pytest.mark.parametrize(
    "said", ["Nike's", "Nike’s", "'Nike'", "Nike-style", "Adidas/Nike", "Nike®", "Nike™", "*Nike*", "Nike_Air"]
)
def test_a_brand_counts_whatever_marks_stand_beside_it(said: str) -> None:
    others = [Product("2", attributes={"brand": brand}) for brand in ("Nike", "Levi's", "T", "H&M")]
    brands = Brands([MUG, *others])
    assert brands.strangers(f"A mug softer than {said} best", MUG) == ["Nike"]
    assert brands.strangers("Nikes of a T-shirt with T's and a nike", MUG) == []
    assert brands.strangers("A mug by T, by H&M. Like Levi’s", MUG) == ["T", "H&M", "Levi’s"]


def test_a_fact_is_left_out_where_the_title_says_it_in_words_of_its_own() -> None:
    shirt = Product("1", "Tailored blue shirts", attributes={"colour": "red", "kind": "shirt", "hue": "Blue"})
    texts = [text for text, _ in enrich(shirt, 20, 0)]
    assert any("red" in text.replace("Tailored", "") for text in texts)
    assert not any("Blue" in text or "kind" in text for text in texts)


def test_texts_differ_and_follow_from_seed_and_product() -> None:
    made = enrich(MUG, 5, 1)
    assert len({text for text, _ in made}) == 5
    assert made == enrich(MUG, 5, 1)
    assert made[:2] == enrich(MUG, 2, 1)
    assert made != enrich(MUG, 5, 2)
    assert made != enrich(MUG._replace(product_id="2"), 5, 1)
    assert any("cup" in text for text, _ in enrich(MUG, 20, 1))
    assert all("Sofa Kings" in text for text, _ in enrich(MUG._replace(category="Sofa"), 20, 1))


def test_a_product_of_which_nothing_is_known_gets_no_text() -> None:
    assert enrich(Product("1", "mug"), 3, 0) == []
    assert enrich(Product("1"), 3, 0) == []
    assert enrich(Product("1", None, None, None, {"colour": "red"}), 1, 0)


def test_names_of_attributes_become_words() -> None:
    assert [spoken_name(name) for name in ("baseColour", "sub_category", "Use")] == ["base colour", "sub category", "use"]


def test_a_brand_may_end_in_a_mark() -> None:
    joop, mug = (Product("1", "Joop! Homme", attributes={"brand": "Joop!"}), Product("2", "A mug"))
    assert Brands([joop, mug]).strangers("A mug by Joop! for men", mug) == ["Joop"]
    assert not Brands([joop, mug]).strangers("A bottle by Joop! for men", joop)
    free = Product("3", "A dress", attributes={"brand": "Free People"})
    assert Brands([free, mug]).strangers("By Free  People.", mug) == ["Free  People"]
    assert not Brands([free, mug]).strangers("Gluten Free. People love it", mug), "two sentences are no name"
