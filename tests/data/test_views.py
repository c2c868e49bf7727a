from __future__ import annotations

from dataclasses import replace

import numpy as np

from openmoon.data.views import Parts, Variants

N = 400


def parts() -> Parts:
    """Every third product has no picture."""
    names = np.array([f"t{n}" for n in range(N)], dtype=object)
    return Parts({"title": names, "rich": names}, np.array([f"k{n}" if n % 3 else None for n in range(N)], dtype=object))


def variants(share: float) -> Variants:
    """Even products have two further texts, those after the first hundred a further picture."""
    return Variants(
        [[f"t{n}a", f"t{n}b"] if n % 2 == 0 else [] for n in range(N)], [[f"k{n}a"] if n >= 100 else [] for n in range(N)], share
    )


def test_variants_take_the_place_of_what_is_shown() -> None:
    rows, views = np.arange(N), ["rich+image", "image"] * (N // 2)
    plain = parts().show(views, rows)
    assert parts().draw(views, rows, np.random.default_rng(0)) == plain
    drawn = replace(parts(), variants=variants(0.5)).draw(views, rows, np.random.default_rng(0))
    for n in range(N):
        assert drawn.texts[n] in ({None} if plain.texts[n] is None else {f"t{n}", f"t{n}a", f"t{n}b"})
        assert drawn.images[n] in ({None} if plain.images[n] is None else {f"k{n}", *([f"k{n}a"] if n >= 100 else [])})
    changed = np.mean([drawn.texts[n] != plain.texts[n] for n in range(0, N, 2)])
    assert 0.4 < changed < 0.6
    assert len({text[-1] for text in drawn.texts if text and text[-1] in "ab"}) == 2
    everything = replace(parts(), variants=variants(1.0)).draw(["rich+image"] * N, rows, np.random.default_rng(1))
    assert all(everything.texts[n] in (f"t{n}a", f"t{n}b") for n in range(0, N, 2))
    assert all(everything.images[n] == f"k{n}a" for n in range(100, N) if n % 3)
    assert replace(parts(), variants=variants(0.0)).draw(views, rows, np.random.default_rng(0)) == plain
