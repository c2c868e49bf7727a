"""What a text may never lose or invent: brands, numbers, sizes and model codes are who a product is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from openmoon.data.coaugment.product import Product, normal_name

BRAND_NAMES = frozenset({"brand", "brandname", "manufacturer", "maker", "designer", "publisher", "label"})

_LETTER = "0-9A-Za-z\u00c0-\u024f\u0370-\u04ff"  # of scripts that put spaces between words
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # that put none
_WORD = re.compile(r"(?:[^\W_]|[\u0300-\u036f\u0900-\u0dff])+")  # letters, digits, and the signs of Indic scripts
_UNITS = "ml|cl|l|mm|cm|m|in|inch|inches|ft|mg|g|kg|oz|lb|lbs|w|v|mah|gb|tb|mb|hz|pcs|pc|pack|pairs?|percent"
_NUMBERED = re.compile(rf"[^\s,;(){_UNSPACED}]*\d[^\s,;(){_UNSPACED}]*(?:\s(?:{_UNITS})(?![{_LETTER}]))?", re.IGNORECASE)
_SIZE = re.compile(rf"(?<![{_LETTER}'’-])(?:X{{0,3}}[SL]|M)(?![{_LETTER}'’-])")
_CAPITALS = re.compile(rf"(?<![{_LETTER}])[A-Z][A-Z&.\-]*[A-Z](?![{_LETTER}-])")


def protected(product: Product, protect: Iterable[str] = ()) -> list[str]:
    """The strings of the title that every text of this product must hold, as the title writes them.

    These are the values of brand attributes (`BRAND_NAMES`) and of the attributes named in `protect`, as far as the title
    holds them, its numbers with their units, sizes and model codes, and words in capitals in a title that is not all so.
    """
    title = product.title or ""
    names = BRAND_NAMES | {normal_name(name) for name in protect}
    values = [value for name, value in product.attributes.items() if normal_name(name) in names and value.strip()]
    found = [match.group() for value in values for match in _whole(value.strip()).finditer(title)]
    found += [match.group().strip(".,:!?\"'") for match in _NUMBERED.finditer(title)]
    found += _SIZE.findall(title)
    if not title.isupper():
        found += _CAPITALS.findall(title)
    return list(dict.fromkeys(text for text in found if text))


def lost(text: str, strings: Sequence[str]) -> list[str]:
    """Those of `strings` that `text` does not hold verbatim, as whole words."""
    return [string for string in strings if not _whole(string, re.NOFLAG).search(text)]


def says(text: str, string: str) -> bool:
    """Whether `text` holds `string` as whole words, also in the plural."""
    if string.casefold() not in text.casefold():
        return False  # most often, and without a pattern to compile
    return any(_whole(string + end).search(text) for end in ("", "s", "es"))


class Brands:
    """The brands of a catalogue, to find one in a text where it does not belong."""

    def __init__(self, products: Iterable[Product]) -> None:
        values = {
            " ".join(value.split())
            for product in products
            for name, value in product.attributes.items()
            if normal_name(name) in BRAND_NAMES
        }
        self._known = {_plain(value) for value in values if _words(value)}
        self._longest = max((len(_words(value)) for value in self._known), default=0)
        unspaced = [value for value in values if len(value) > 1 and re.search(f"[{_UNSPACED}]", value)]
        unspaced.sort(key=len, reverse=True)
        self._unspaced = re.compile("|".join(_whole(value).pattern for value in unspaced), re.IGNORECASE) if unspaced else None

    def strangers(self, text: str, product: Product) -> list[str]:
        """Brands of other products that `text` names and nothing in the catalogue's row of `product` does.

        A brand counts where the text capitalises it, so that a shop that sells `Only` may still say "only", and whatever marks
        stand beside it (Only's, Only-style, "Only"); one of a single letter only between spaces, or a T-shirt would name it. In
        scripts without spaces it counts wherever its letters, two or more, stand together.
        """
        own = product.words()
        return [name for name in dict.fromkeys(self._named(text)) if not _whole(name).search(own)]

    def _named(self, text: str) -> Iterable[str]:
        if self._unspaced is not None:
            yield from (match.group() for match in self._unspaced.finditer(text))
        words = list(_words(text))
        for first, word in enumerate(words):
            if word.group()[0].islower():
                continue
            for last in words[first : first + self._longest]:
                name = text[word.start() : last.end()]
                if _plain(name) in self._known and (len(name) > 1 or _alone(text, word)):
                    yield name


def _words(text: str) -> list[re.Match[str]]:
    return list(_WORD.finditer(text))


def _alone(text: str, word: re.Match[str]) -> bool:
    """Whether a word has a space, a mark that ends a phrase or nothing beside it."""
    beside = text[word.start() - 1 : word.start()] + text[word.end() : word.end() + 1]
    return not beside.strip(" \n\t.,;:!?")


def _plain(name: str) -> str:
    """A name as it is compared: from its first word to its last, without the marks that it may begin or end with."""
    words = _words(name)
    inside = name[words[0].start() : words[-1].end()] if words else ""
    return " ".join(inside.replace("’", "'").split()).casefold()


def _whole(string: str, flags: re.RegexFlag = re.IGNORECASE) -> re.Pattern[str]:
    """Matches `string` where it cuts no word: where it begins or ends with a letter or digit, none stands beside it."""
    before = rf"(?<![{_LETTER}])" if re.match(f"[{_LETTER}]", string) else ""
    after = rf"(?![{_LETTER}])" if re.search(f"[{_LETTER}]$", string) else ""
    return re.compile(before + re.escape(string) + after, flags)
