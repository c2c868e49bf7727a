"""Run a shop's log: who comes, what they ask, what they are shown and what they do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openmoon.data.sample.behaviour import Impressions, Requests, simulate
from openmoon.data.sample.queries import Queries
from openmoon.data.sample.users import BOTH, FEED, PHOTO, TEXT, Visits, draw_users, draw_visits, wanted_products
from openmoon.data.sample.world import World


@dataclass(frozen=True)
class Log:
    """A simulated log and all that it came from."""

    world: World
    queries: Queries
    requests: Requests
    seen: Impressions


def run_log(world: World, queries: Queries, users: int, random: np.random.Generator) -> Log:
    """Simulate the shop with so many `users`. Every product needs at least one text."""
    shoppers = draw_users(users, world, random)
    visits = draw_visits(users, random)
    requests = _ask(visits, wanted_products(visits, shoppers, world, random), queries, random)
    return Log(world, queries, requests, simulate(requests, shoppers, world, random))


def _ask(visits: Visits, wanted: np.ndarray, queries: Queries, random: np.random.Generator) -> Requests:
    """Each request's photo and text: one of those made of the wanted product. Without a photo of it she types."""
    photo = _one_of(queries.photos.product, wanted, random)
    text = _one_of(queries.texts.product, wanted, random)
    uses_photo = np.isin(visits.ask, (PHOTO, BOTH)) & (photo >= 0)
    uses_text = np.isin(visits.ask, (TEXT, BOTH)) | ((visits.ask == PHOTO) & (photo < 0))
    shown = uses_photo[:, None] & queries.photo_shows
    said = uses_text[:, None] & queries.texts.named[text]
    named = (shown | said) & (visits.ask != FEED)[:, None]
    return Requests(visits, np.where(uses_photo, photo, -1), np.where(uses_text, text, -1), named, wanted)


def _one_of(owner: np.ndarray, wanted: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """For each wanted product a random row of the sorted `owner` that holds it, or -1."""
    first, last = np.searchsorted(owner, wanted, "left"), np.searchsorted(owner, wanted, "right")
    return np.where(last > first, first + (random.random(len(wanted)) * (last - first)).astype(np.int64), -1)
