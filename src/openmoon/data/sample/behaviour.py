"""Requests → a popularity-biased ranker → impressions → examination × relevance → clicks, carts and purchases.

The ranker samples lists without replacement (Plackett–Luce), so the propensity of every slot is known exactly. It
learns popularity from its own clicks day by day, which feeds on itself as in a real shop. A slice of requests shows
products of the wanted category in uniformly random order instead.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from openmoon.data.sample.users import FEED, Users, Visits, chunks, gumbel
from openmoon.data.sample.world import DAYS, World

SLOTS = 12
_UNIFORM = 0.06  # share of requests with uniformly random lists
_EXAMINE = 0.5  # a shopper looks at position k with probability k ** -_EXAMINE
_MISCLICK = 0.022  # probability of clicking an examined product that she does not care for: the label noise
_NOISY_BUY = 0.15  # probability that a misclick ends in a purchase all the same


@dataclass(frozen=True)
class Requests:
    """Visits, and how each one asks: its photo and text (rows of their lists, -1 for none), what it names and wants.

    named: (requests, traits) bool. wanted: (requests,) rows of the catalogue.
    """

    visits: Visits
    photo: np.ndarray
    text: np.ndarray
    named: np.ndarray
    wanted: np.ndarray


@dataclass(frozen=True)
class Impressions:
    """One entry per shown product. position counts from 1; propensity is the slot's, given the slots above it."""

    request: np.ndarray
    product: np.ndarray
    position: np.ndarray
    propensity: np.ndarray
    uniform: np.ndarray
    relevance: np.ndarray  # probability of a click if examined and meant
    p_true: np.ndarray  # probability of a click, misclicks included
    click: np.ndarray
    noisy: np.ndarray  # this click was a misclick
    cart: np.ndarray
    purchase: np.ndarray


def simulate(requests: Requests, users: Users, world: World, random: np.random.Generator) -> Impressions:
    """Run the shop day by day and return every impression with what came of it."""
    clicks = world.popularity / world.popularity.mean() * 2.0  # what the ranker believes before the first day
    parts = []
    for day in range(DAYS):
        today = []
        for rows in chunks(np.flatnonzero(requests.visits.day == day)):
            shown = _serve(rows, day, clicks, requests, users, world, random)
            today.append(_react(rows, day, shown, requests, users, world, random))
        for part in today:
            clicks = clicks + np.bincount(part.product, weights=part.click, minlength=len(clicks))
        clicks = 0.97 * clicks
        parts += today
    return Impressions(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Impressions)})


@dataclass(frozen=True)
class _Shown:
    """Lists, (requests, slots): products and propensities by slot; uniform (requests,): in random order."""

    product: np.ndarray
    propensity: np.ndarray
    uniform: np.ndarray


def _serve(
    rows: np.ndarray,
    day: int,
    clicks: np.ndarray,
    requests: Requests,
    users: Users,
    world: World,
    random: np.random.Generator,
) -> _Shown:
    """The lists of some requests (`rows`) of a day, given the shop's `clicks` so far."""
    space, wanted, named = world.space, requests.wanted[rows], requests.named[rows]
    feed = requests.visits.ask[rows] == FEED
    count = len(world.category)
    sharpness = np.float32(10.5 + 1.6 * max(0.0, np.log(count / 2000)))
    scale = np.where(feed, 0, sharpness / space.named_share(named)).astype(np.float32)
    score = (space.queries(wanted, named) @ space.matrix.T) * scale[:, None]
    guess = users.taste(requests.visits.user[rows], max(0.0, day / DAYS - 0.1))  # the shop's picture of a taste lags
    score += np.where(feed, 2.0, 0.5).astype(np.float32)[:, None] * (guess @ space.matrix.T)
    score += (0.8 * np.log1p(clicks)).astype(np.float32)
    uniform = random.random(len(rows)) < _UNIFORM
    score[uniform] = np.where(world.category[None, :] == world.category[wanted[uniform]][:, None], 0, -np.inf)
    score[:, world.born > day] = -np.inf
    keys = score + gumbel(random, score.shape)
    top = np.argpartition(-keys, min(SLOTS, count) - 1, axis=1)[:, :SLOTS]
    top = np.take_along_axis(top, np.argsort(-np.take_along_axis(keys, top, 1), axis=1, kind="stable"), 1)
    mass = np.exp(score - score.max(axis=1, keepdims=True))
    chosen = np.take_along_axis(mass, top, 1).astype(float)
    left = mass.sum(axis=1, dtype=float)[:, None] - np.cumsum(chosen, axis=1) + chosen
    propensity = np.where(chosen > 0, np.clip(chosen / np.maximum(left, 1e-300), 1e-12, 1.0), 0.0)
    return _Shown(top, propensity, uniform)


def _react(
    rows: np.ndarray,
    day: int,
    shown: _Shown,
    requests: Requests,
    users: Users,
    world: World,
    random: np.random.Generator,
) -> Impressions:
    """What shoppers do with their lists; slots that no product could fill are left out."""
    space, named, wanted = world.space, requests.named[rows], requests.wanted[rows]
    request, slot = np.nonzero(shown.propensity > 0)
    product = shown.product[request, slot]
    items = space.matrix[product]
    to_wanted = np.clip(_dot(items, space.matrix[wanted[request]]), 0, 1)
    to_query = _dot(items, space.queries(wanted, named)[request]) / space.named_share(named)[request]
    taste = users.taste(requests.visits.user[rows], day / DAYS)
    liking = 0.7 * _dot(items, taste[request]) + 0.3 * world.quality[product]
    feed = requests.visits.ask[rows][request] == FEED
    want = np.clip(0.6 * to_query + 0.4 * to_wanted, 0, 1) ** 3
    relevance = _sigmoid(np.where(feed, -2.9 + 2.0 * to_wanted**3 + liking, -4.2 + 5.2 * want + 0.6 * liking))
    examined = (slot + 1.0) ** -_EXAMINE
    p_meant = examined * relevance
    p_true = p_meant + examined * (1 - relevance) * _MISCLICK
    toss = random.random(len(product))
    click, noisy = toss < p_true, (toss >= p_meant) & (toss < p_true)
    p_buy = np.where(noisy, _NOISY_BUY, _sigmoid(-4.2 + 4.4 * to_wanted**3 + 0.3 * world.quality[product]))
    decision = random.random(len(product))
    purchase = click & (decision < p_buy)
    cart = click & (decision < np.minimum(1.6 * p_buy + 0.03, 1))
    return Impressions(
        rows[request],
        product,
        slot + 1,
        shown.propensity[request, slot],
        shown.uniform[request],
        relevance,
        p_true,
        click,
        noisy,
        cart,
        purchase,
    )


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", a, b)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(x, dtype=float)))
