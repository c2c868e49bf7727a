"""Small random choices over lists of words, and typing errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pick(random: np.random.Generator, words: Sequence[str]) -> str:
    """One of `words`, each as likely."""
    return words[int(random.integers(len(words)))]


def mistype(random: np.random.Generator, text: str) -> str:
    """`text` with one typing error: two letters swapped, one left out, or one doubled."""
    places = [i for i in range(1, len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
    if not places:
        return text
    i = places[int(random.integers(len(places)))]
    kind = random.integers(3)
    if kind == 0:
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    return text[:i] + text[i + 1 :] if kind == 1 else text[: i + 1] + text[i] + text[i + 1 :]
