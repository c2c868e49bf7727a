"""What vectors are worth in a sentence or two, whether they help, harm, or nothing can be told."""

from __future__ import annotations

from dataclasses import dataclass

from openmoon.ctr.build import uses_vectors
from openmoon.ctr.evaluate import REFERENCE
from openmoon.ctr.results import UNDEFINED, CtrResult, Gain, System
from openmoon.ctr.slices import NEW_PRODUCTS, UNKNOWN_PRODUCTS

GAIN_UNDEFINED = "fewer than two shoppers of the test part chose something of what they saw and left something"


@dataclass(frozen=True)
class Card:
    """A figure, what it is of, and what it is measured against."""

    label: str
    figure: str
    note: str


@dataclass(frozen=True)
class Headline:
    """The answer in `sentences`, and the figures that it rests on."""

    sentences: list[str]
    cards: list[Card]


def models(result: CtrResult) -> dict[str, System]:
    """The systems that were trained; the others are baselines."""
    names = (result.recipe.get("ctr") or {}).get("models") or []
    return {name: result.systems[name] for name in names if name in result.systems}


def content_models(result: CtrResult) -> dict[str, System]:
    """The models that read vectors."""
    return {name: system for name, system in models(result).items() if uses_vectors(name)}


def best_content_model(result: CtrResult) -> str | None:
    """The one with the largest gain over the reference; None where no gain is known."""
    gains = {name: system.gain.gauc for name, system in content_models(result).items() if system.gain}
    return max(gains, key=lambda name: gains[name], default=None)


def headline(result: CtrResult) -> Headline:
    """Gain of the best model with vectors over the id-only reference, on everything, on new and on unknown products."""
    best, reference = best_content_model(result), result.reference
    if reference is None:
        return Headline([_without_reference(result)], [])
    if best is None:
        if content_models(result):
            why = f"No gain over the id-only model {reference} is known: {GAIN_UNDEFINED}."
        else:
            why = "No model of the recipe uses vectors, so there is nothing to hold against the id-only " \
                  f"model {reference}."  # fmt: skip
        return Headline([f"What vectors are worth cannot be said. {why}"], [])
    system = result.systems[best]
    assert system.gain is not None
    sentences = [
        _of_all(result, best, system.gain),
        _of_some(result, best, system.new_gain, NEW_PRODUCTS, "new products"),
        _of_some(result, best, system.unknown_gain, UNKNOWN_PRODUCTS, "products that training met too rarely for an id"),
    ]
    cards = [
        Card("gain in GAUC, all products", signed(system.gain.gauc), f"{best} over {reference}, 95% {between(system.gain)}"),
        Card("gain in GAUC, new products", signed(system.new_gain.gauc) if system.new_gain else UNDEFINED,
             f"{best} over {reference}, 95% {between(system.new_gain)}" if system.new_gain
             else some_undefined(result, NEW_PRODUCTS)),
    ]  # fmt: skip
    return Headline([*sentences, *_without_vectors(result)], cards)


def signed(value: float, digits: int = 4) -> str:
    """With a sign, always."""
    return f"{value:+.{digits}f}".replace("-", "−")


def between(gain: Gain) -> str:
    """The interval of a gain."""
    return f"[{signed(gain.low)}, {signed(gain.high)}]"


def some_undefined(result: CtrResult, products: str) -> str:
    """Why there is no gain on a slice of the products."""
    part = next((part for one in result.systems.values() if (part := one.slices.get("product", {}).get(products))), None)
    if part is None:
        return "no test impression is of such a product"
    return f"{part.rows:,} impressions of them, {part.chosen:,} chosen: fewer than two shoppers chose some and left some"


def _without_reference(result: CtrResult) -> str:
    scores = {name: gauc for name, system in models(result).items() if (gauc := system.mean("gauc")) is not None}
    best = max(scores, key=lambda name: scores[name], default=None)
    known = f" The highest GAUC is {scores[best]:.4f}, of {best}." if best is not None else ""
    return f"What vectors are worth cannot be said: the id-only model that gains are measured against, {REFERENCE}, is not " \
           f"among the recipe's models.{known}"  # fmt: skip


def _of_all(result: CtrResult, best: str, gain: Gain) -> str:
    ours, theirs = (result.systems[name].mean("gauc") for name in (best, result.reference or ""))
    levels = f"GAUC {ours:.4f} against {theirs:.4f} of the id-only {result.reference}"
    change = f"{signed(gain.gauc)}, 95% interval {between(gain)}"
    if gain.low > 0:
        return f"Vectors help: {best} has {levels} ({change})."
    if gain.high < 0:
        return f"Vectors do not help: even the best model with them, {best}, is behind with {levels} ({change})."
    return f"Whether vectors help cannot be told from chance: the best model with them, {best}, has {levels} ({change})."


def _of_some(result: CtrResult, best: str, gain: Gain | None, part: str, products: str) -> str:
    if gain is None:
        return f"On {products} the gain is undefined ({some_undefined(result, part)})."
    change = f"{signed(gain.gauc)}, 95% interval {between(gain)}"
    if gain.low > 0:
        return f"On {products} {best} is ahead of {result.reference} too ({change})." if _gains(result, best) else \
               f"On {products}, however, {best} is ahead of {result.reference} ({change})."  # fmt: skip
    if gain.high < 0:
        return f"On {products} {best} is behind {result.reference} ({change})."
    return f"On {products} the two cannot be told apart ({change})."


def _gains(result: CtrResult, name: str) -> bool:
    gain = result.systems[name].gain
    return gain is not None and gain.low > 0


def _without_vectors(result: CtrResult) -> list[str]:
    """What an id-only model gains over the reference is not the vectors' doing."""
    others = {name: system.gain for name, system in models(result).items()
              if not uses_vectors(name) and system.gain and system.gain.low > 0}  # fmt: skip
    if not others:
        return []
    name = max(others, key=lambda one: others[one].gauc)
    return [f"The reference is not the best id-only model: {name}, without vectors, is itself {signed(others[name].gauc)} "
            f"{between(others[name])} over it."]  # fmt: skip
