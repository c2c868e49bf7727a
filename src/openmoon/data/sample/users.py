"""The simulated shoppers: what they like, how that drifts, when they come and which product they have in mind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openmoon.data.sample.latent import on_grid
from openmoon.data.sample.world import DAYS, World

FEED, PHOTO, TEXT, BOTH = range(4)  # how a request asks
_ASKS = (0.18, 0.42, 0.34, 0.06)
_SESSIONS, _REQUESTS = 11.0, 1.7  # means per user and per session
_DRIFT = 0.6  # share of the quarter turn from the first to the last taste over the whole log


@dataclass(frozen=True)
class Users:
    """taste_first, taste_last: (users, dim) directions in the latent space. interest: (users, 2, categories) shares."""

    taste_first: np.ndarray
    taste_last: np.ndarray
    interest: np.ndarray

    def taste(self, users: np.ndarray, when: float) -> np.ndarray:
        """Tastes (n, dim) at `when` in [0, 1] of the log, on the grid of the space."""
        turn = when * _DRIFT * np.pi / 2
        return on_grid(np.cos(turn) * self.taste_first[users] + np.sin(turn) * self.taste_last[users])


@dataclass(frozen=True)
class Visits:
    """One row per request in order of time: who, which day and second, which session, and how it asks."""

    user: np.ndarray
    day: np.ndarray
    second: np.ndarray
    session: np.ndarray
    ask: np.ndarray


def draw_users(count: int, world: World, random: np.random.Generator) -> Users:
    """Users with tastes for the traits of the space that people like, and interests in the categories."""
    space, categories = world.space, world.categories
    likes = np.repeat([name in space.tastes for name in space.blocks], space.widths())
    tastes = [random.standard_normal((count, space.matrix.shape[1])) * likes * 1.6 for _ in range(2)]
    interest = random.dirichlet(np.full(categories, max(0.15, 2.5 / categories)), (count, 2))
    return Users(on_grid(tastes[0]), on_grid(tastes[1]), interest.astype(np.float32))


def draw_visits(users: int, random: np.random.Generator) -> Visits:
    """When users come: a lognormal number of sessions each, mostly in the evening, with one or more requests."""
    sessions = np.maximum(1, random.poisson(_SESSIONS * random.lognormal(-0.25, 0.7, users)))
    owner = np.repeat(np.arange(users), sessions)
    day = random.integers(0, DAYS, len(owner))
    start = (random.normal(19.0, 3.5, len(owner)) % 24 * 3600).astype(np.int64)
    requests = 1 + random.poisson(_REQUESTS - 1, len(owner))
    session = np.repeat(np.arange(len(owner)), requests)
    number = np.arange(len(session)) - np.searchsorted(session, session)
    second = np.minimum(start[session] + number * 90 + random.integers(0, 45, len(session)), 86_399 - 600 + number)
    order = np.lexsort((number, session, second, day[session]))
    ask = random.choice(4, len(session), p=_ASKS)
    return Visits(owner[session][order], day[session][order], second[order], session[order], ask[order])


def wanted_products(visits: Visits, users: Users, world: World, random: np.random.Generator) -> np.ndarray:
    """The product that each request's shopper has in mind, the same through a session: (requests,) rows.

    She picks a category of interest, and in it by taste and popularity among what is on sale that day.
    """
    sessions, first = np.unique(visits.session, return_index=True)
    wanted = np.zeros(int(sessions.max()) + 1, dtype=np.int64)
    weight = np.log(world.popularity).astype(np.float32)
    for day in range(DAYS):
        live, when = world.born <= day, day / DAYS
        on_sale = np.bincount(world.category[live], minlength=world.categories) > 0
        for rows in chunks(first[visits.day[first] == day]):
            who = visits.user[rows]
            interest = (1 - when) * users.interest[who, 0] + when * users.interest[who, 1]
            shares = np.cumsum(interest * on_sale + 1e-9 * on_sale, axis=1)
            need = (random.random((len(rows), 1)) * shares[:, -1:] > shares).sum(axis=1)
            score = 1.5 * (users.taste(who, when) @ world.space.matrix.T) + weight
            score += gumbel(random, score.shape)
            score[(world.category[None, :] != need[:, None]) | ~live[None, :]] = -np.inf
            wanted[visits.session[rows]] = score.argmax(axis=1)
    return wanted[visits.session]


def gumbel(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Standard Gumbel noise, float32: adding it to log weights and sorting samples by weight without replacement."""
    return -np.log(np.maximum(random.standard_exponential(shape, dtype=np.float32), np.float32(1e-7)))


def chunks(rows: np.ndarray, most: int = 1024) -> list[np.ndarray]:
    """`rows` in pieces that keep a (rows, products) matrix small."""
    return [rows[i : i + most] for i in range(0, len(rows), most)]
