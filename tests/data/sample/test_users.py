"""What shoppers like and want moves from one taste to another over the log."""

from __future__ import annotations

import numpy as np

from openmoon.data.sample.catalog import true_products
from openmoon.data.sample.shop import _space
from openmoon.data.sample.users import Visits, draw_users, wanted_products
from openmoon.data.sample.world import DAYS, make_world

USERS = 400


def test_tastes_drift_from_the_first_to_the_last_and_wishes_follow() -> None:
    true = true_products(300, np.random.default_rng(0))
    world = make_world(_space(true), true["type"], true)
    users = draw_users(USERS, world, np.random.default_rng(1))
    everyone = np.arange(USERS)

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).mean())

    to_first = [cosine(users.taste(everyone, when), users.taste_first) for when in (0.0, 0.5, 1.0)]
    to_last = [cosine(users.taste(everyone, when), users.taste_last) for when in (0.0, 0.5, 1.0)]
    assert to_first[0] > 0.999
    assert to_first == sorted(to_first, reverse=True)
    assert to_last == sorted(to_last)
    assert to_last[2] > to_first[2], "by the end the last taste is the nearer one"

    def liking(day: int) -> float:
        """How much nearer to the last taste than to the first what is wanted on a day is."""
        who = np.repeat(everyone, 20)
        visits = Visits(who, np.full(len(who), day), np.zeros(len(who), int), np.arange(len(who)), np.zeros(len(who), int))
        wanted = world.space.matrix[wanted_products(visits, users, world, np.random.default_rng(2))]
        return float(((users.taste_last - users.taste_first)[who] * wanted).sum(1).mean())

    assert liking(DAYS - 1) > liking(0) + 0.1
